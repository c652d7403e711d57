"""What every machine computes alike: voices with frames and matrices with inputs, as files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from linnet.format import blocks, dtypes
from varied_voices import varied_voices
from voices import tiny_voice

FRAMES = 6
LARGEST = 1e30  # of the inputs: even times 65504, sums of thousands stay finite


def voices() -> dict[str, bytes]:
    """Every block shape in every type, and every kind of network."""
    files = varied_voices()
    for block in [None, *blocks.BLOCKS]:
        for dtype in dtypes.DTYPES:
            files[f"grid-{block}-{dtype}"] = tiny_voice(16, block, dtype)
    return files


def frames(n_features: int) -> np.ndarray:
    """(FRAMES, n_features)"""
    return np.random.default_rng(0).normal(size=(FRAMES, n_features)).astype("<f4")


def weights(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    """Numbers of the whole range of fp16, subnormals and zeros among them."""
    values = rng.normal(size=(rows, cols)) * 2.0 ** rng.integers(-24, 4, (rows, cols))
    edges = rng.choice([0.0, -0.0, 2.0**-24, -(2.0**-14), 65504.0], (rows, cols))
    return np.where(rng.random((rows, cols)) < 0.2, edges, values)


def inputs(rng: np.random.Generator, cols: int) -> list[np.ndarray]:
    """Ordinary numbers; those whose products are subnormal or are added to such; large ones."""
    ordinary = rng.normal(size=cols)
    tiny = rng.normal(size=cols) * 2.0 ** rng.integers(-149, 1, cols)
    smallest = rng.choice([0.0, -0.0, 2.0**-149, 2.0**-127, -(2.0**-126)], cols)
    large = rng.normal(size=cols) * 2.0 ** rng.integers(10, 20, cols)
    huge = np.clip(rng.normal(size=cols) * 2.0 ** rng.integers(-149, 99, cols), -LARGEST, LARGEST)
    return [x.astype("<f4") for x in (ordinary, tiny, smallest, large, huge)]


def matrix(seed: int, layout: str, dtype: str, rows: int, cols: int, density: float) -> bytes:
    """One file for the program `hashes`."""
    rng = np.random.default_rng(seed)
    dense = weights(rng, rows, cols)
    if layout != "dense":
        r, c = blocks.block_shape(layout)
        grid = rng.random((-(-rows // r), -(-cols // c))) < density
        dense *= np.repeat(np.repeat(grid, r, 0), c, 1)[:rows, :cols]
    packed = blocks.pack(dense, layout, dtype)
    quads, columns = packed.quads, packed.columns
    sections = [packed.values_section]
    sections += [b"" if part is None else part.tobytes() for part in (columns, quads)]
    all_inputs = inputs(rng, cols)
    head = struct.pack(
        "<10I",
        blocks.LAYOUTS[layout],
        dtypes.DTYPES[dtype],
        rows,
        cols,
        0 if quads is None else quads.size,
        packed.index_width,
        *map(len, sections),
        len(all_inputs),
    )
    file = head + b"".join(sections)
    for x in all_inputs:
        bias = (rng.normal(size=rows) * 2.0 ** rng.integers(-149, 4, rows)).astype("<f4")
        file += np.pad(x, (0, -cols % 16)).tobytes() + bias.tobytes()
    return file


def write_cases(folder: Path) -> list[Path]:
    """Write all files; returns the voices and matrices."""
    paths = []
    for name, data in voices().items():
        path = folder / f"{name}.linnet"
        path.write_bytes(data)
        (folder / f"{name}.linnet.f32").write_bytes(frames(10).tobytes())
        paths.append(path)
    shapes = [(64, 64, 0.3), (37, 75, 0.5), (5, 3, 1.0), (33, 4099, 0.05)]
    for layout in ["dense", *blocks.BLOCKS]:
        for dtype in dtypes.DTYPES:
            for seed, (rows, cols, density) in enumerate(shapes):
                path = folder / f"{layout}-{dtype}-{rows}x{cols}.matrix"
                path.write_bytes(matrix(seed, layout, dtype, rows, cols, density))
                paths.append(path)
    return paths
