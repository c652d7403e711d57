"""ONNX files as checkpoints: their initialisers; the config is JSON under "config" in the metadata.

The graph itself is not read: initialisers need the canonical names, or a names map.
"""

from __future__ import annotations

from pathlib import Path

from linnet_export.checkpoint import Checkpoint, parse_config
from linnet_export.storage import Weights


def read(path: Path) -> Checkpoint:
    """Read the initialisers of an .onnx file. Raises ValueError."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    except ImportError as error:
        raise ImportError("reading ONNX needs onnx: pip install 'linnet[export]'") from error
    try:
        model = onnx.load(str(path))
    except (DecodeError, ValueError) as error:
        raise ValueError(f"{path}: not an ONNX file: {error}") from None
    tensors: dict[str, Weights] = {}
    for initializer in model.graph.initializer:
        array = numpy_helper.to_array(initializer)
        # bfloat16 arrives as ml_dtypes.bfloat16.
        tensors[initializer.name] = (
            array.astype("float32") if array.dtype.name == "bfloat16" else array
        )
    properties = {entry.key: entry.value for entry in model.metadata_props}
    return Checkpoint(
        tensors, parse_config(properties["config"], str(path)) if "config" in properties else {}
    )
