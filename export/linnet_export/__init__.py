"""From pruned checkpoints to `.linnet` files.

from linnet_export import export
print(export("voice.pt", "voice.linnet"))
"""

from linnet_export.describing import Description, describe
from linnet_export.exporting import export, rematch, restore
from linnet_export.onnx.networks import export_onnx
from linnet_export.readers.errors import CheckpointError
from linnet_export.reporting import Report
from linnet_export.suggesting import suggest_names
from linnet_export.writing.storage import Layer

__all__ = [
    "CheckpointError",
    "Description",
    "Layer",
    "Report",
    "describe",
    "export",
    "export_onnx",
    "rematch",
    "restore",
    "suggest_names",
]
