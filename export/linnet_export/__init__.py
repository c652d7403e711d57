"""From pruned checkpoints to `.linnet` files.

from linnet_export import export
print(export("voice.pt", "voice.linnet"))
"""

from linnet_export.exporting import Report, export
from linnet_export.storage import Layer

__all__ = ["Layer", "Report", "export"]
