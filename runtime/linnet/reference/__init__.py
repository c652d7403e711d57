"""The Numba reference: export/FORMAT.md as plain Python, bit for bit.

Needs `pip install 'linnet[reference]'`.
"""

from linnet.reference.engine import Matrix, ReferenceVoice, matvec

__all__ = ["Matrix", "ReferenceVoice", "matvec"]
