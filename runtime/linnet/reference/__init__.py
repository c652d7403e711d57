"""The Numba reference: export/FORMAT.md as plain Python, bit for bit.

Needs Numba (`linnet[reference]`).
"""

from linnet.reference.engine import ReferenceVoice, matvec
from linnet.reference.products import Matrix

__all__ = ["Matrix", "ReferenceVoice", "matvec"]
