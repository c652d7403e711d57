"""A voice of every family, for the tests that run them as ONNX models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import geneing_files
from linnet_export import export
from varied_voices import varied_voices

DATA = Path(os.environ.get("LINNET_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def given(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


def published(path: str) -> Callable[[Path], bytes]:
    def voice(folder: Path) -> bytes:
        if not (DATA / path).exists():
            pytest.skip(f"no third-party weights in {DATA}")
        return exported(DATA / path, folder)

    return voice


def geneing(folder: Path) -> bytes:
    (folder / "model.bin").write_bytes(geneing_files.to_bytes(geneing_files.random_model()))
    return exported(folder / "model.bin", folder)


def fatchord(n_outputs: int) -> Callable[[Path], bytes]:
    def voice(folder: Path) -> bytes:
        pytest.importorskip("torch", reason="the family's checkpoints are a PyTorch module's")
        from fatchord import CONFIG, WaveRNN, save

        mode = {"voc_mode": "MOL" if n_outputs == 30 else "RAW"}
        config = {**CONFIG, "hparams": {**CONFIG["hparams"], **mode}}
        path = save(folder / "a.pt", WaveRNN(n_outputs).state_dict())
        return exported(path, folder, config=config)

    return voice


def exported(checkpoint: Path, folder: Path, **options: Any) -> bytes:
    export(checkpoint, folder / "voice.linnet", **options)
    return (folder / "voice.linnet").read_bytes()


# How to get their bytes, with a folder to use.
VOICES: dict[str, Callable[[Path], bytes]] = {
    **{
        name: given(data)
        for name, data in varied_voices().items()
        # The one has no ONNX form, a step of the other is that of one sub-tensor.
        if not name.startswith("source-filter") and "subscale" not in name
    },
    "slt": given((Path(__file__).parents[1] / "voices" / "slt.linnet").read_bytes()),
    "geneing": geneing,
    "fatchord-raw": fatchord(32),
    "fatchord-mol": fatchord(30),
    "geneing-published": published("geneing-wavernn/model.bin"),
    "workload-published": published("lyra-sparse-wavernn-1024/wavernn_1024_95_4x4.npz"),
    "lyra-published": published("lyra-wavegru-16khz"),
}
