"""A lane of a subscale voice in onnxruntime: every sub-tensor by itself has the runtime's nats."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import linnet
from linnet.format.operations import Subscale
from linnet.format.reading import read
from linnet.signal import encode
from voices import SUBSCALE, tiny_voice

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from linnet_export.onnx.networks import networks  # noqa: E402

U = 2.0**-24


def conditions(model: Any, mel: Any) -> list[dict[str, Any]]:
    """What the frame network gives to every frame's steps."""
    properties = json.loads(model.metadata_props[0].value)
    session = runtime.InferenceSession(model.SerializeToString())
    states = {i.name: np.zeros((1, i.shape[1]), np.float32) for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    silence, given = np.zeros_like(mel[:, 0]), []
    ahead = properties["lookahead"]
    frames = [silence] * properties["priming"] + list(mel.T) + [silence] * ahead
    for frame in frames:
        out = dict(zip(names, session.run(None, {**states, "features": frame[None]}), strict=True))
        states |= {k.removesuffix(".next"): v for k, v in out.items() if k.endswith(".next")}
        given.append({k: v for k, v in out.items() if k.startswith("frame.")})
    return given[properties["priming"] + ahead :]


def test_a_lane_in_onnxruntime_has_the_nats_of_the_runtime() -> None:
    data = tiny_voice(hidden=16, architecture=SUBSCALE, dtype="float32")
    file, voice, random = read(data), linnet.load(data), np.random.default_rng(0)
    found, subscale = networks(file), file.sample_program[0]
    assert isinstance(subscale, Subscale)
    onnx.checker.check_model(found.step, full_check=True)
    frames, b = 5, subscale.sub_tensors
    mel = random.standard_normal((10, frames)).astype(np.float32)
    hop, span = file.header.hop_length, subscale.past + subscale.future + 1
    pcm = random.integers(-9000, 9000, frames * hop).astype(np.int16)
    tokens = encode(pcm, voice.info()["signal"])
    values = np.pad(tokens.reshape(-1, b) * (2 / 65535) - 1, ((subscale.past, span), (0, 0)))

    session = runtime.InferenceSession(found.step.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    given, total = conditions(found.frame, mel), 0.0
    for s in range(b):
        inputs: dict[str, Any] = {
            i.name: np.zeros((1, i.shape[1]), np.float32)
            for i in session.get_inputs()
            if i.name.startswith("state.")
        }
        before = {"previous_coarse": [-1], "previous_fine": [-1]}
        for place, token in enumerate(tokens[s::b].tolist()):
            window = np.zeros((b - 1, span), np.float32)
            for d in range(1, s + 1):
                window[d - 1] = values[place : place + span, s - d]
            seen = np.concatenate([window.ravel(), np.eye(b, dtype=np.float32)[s]])
            inputs |= given[place * b // hop]
            inputs |= {"window": seen[None], "coarse": [token >> 8], **before}
            ready = {
                i.name: np.asarray(inputs[i.name], np.float32 if "float" in i.type else np.int64)
                for i in session.get_inputs()
            }
            out = dict(zip(names, session.run(None, ready), strict=True))
            for name, byte in (("coarse", token >> 8), ("fine", token & 255)):
                logits = out[f"{name}_logits"][0].astype(np.float64)
                total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[byte]
                before[f"previous_{name}"] = [byte]
            inputs |= {k.removesuffix(".next"): v for k, v in out.items() if k.endswith(".next")}
    # 25 places with their own states, each of sums over some 50 products of order 1, and the
    # functions within a few units of the last place.
    assert voice.score(mel, pcm) == pytest.approx(total / len(pcm), abs=25 * 50 * 4 * U)
