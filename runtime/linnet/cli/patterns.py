"""Pictures of a voice's matrices."""

from __future__ import annotations

import importlib
from io import BytesIO
from typing import Any

from linnet.errors import install
from linnet.files import write_atomic
from linnet.format.blocks import BLOCKS, ceil_div
from linnet.format.choice import occupied_blocks
from linnet.format.voice_file import VoiceFile


def draw_patterns(file: VoiceFile, path: str) -> None:
    """Draw the stored blocks of the networks' block-sparse matrices into one picture.

    Raises ValueError where the voice has none, or without matplotlib (`linnet[bench]`).
    """
    # Those that match samples to the features are bands of a definition: nothing was pruned.
    matching = {t.name for t in file.tensors_of(file.match).values()} if file.match else set()
    sparse = [tensor for tensor in file.tensors if tensor.layout in BLOCKS]
    tensors = [tensor for tensor in sparse if tensor.name not in matching]
    if not tensors:
        raise ValueError("the voice has no block-sparse matrix to draw")
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        raise ValueError(f"drawing needs matplotlib: {install('bench')}") from None
    n_columns = min(3, len(tensors))
    n_rows = ceil_div(len(tensors), n_columns)
    figure = figures.Figure(figsize=(4.2 * n_columns, 4.4 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axis in axes[len(tensors) :]:
        axis.axis("off")
    for axis, tensor in zip(axes, tensors, strict=False):
        rows, cols = tensor.shape
        r, c = BLOCKS[tensor.layout]
        stored = occupied_blocks(tensor.packed.to_dense(), tensor.layout)
        extent = (0, stored.shape[1] * c, stored.shape[0] * r, 0)
        axis.imshow(stored, cmap="Greys", vmin=0, vmax=1, aspect="auto", extent=extent)
        axis.set_title(
            f"{tensor.name}: {rows} x {cols}\n{tensor.layout}, {stored.mean():.1%} of blocks stored"
        )
        axis.set_xlabel("column")
        axis.set_ylabel("row")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomic(path, picture.getvalue())
