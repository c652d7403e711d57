"""A second witness of what a voice computes: onnxruntime runs it beside the engine.

Voices are written as ONNX models with dense weights. Nothing of the engine's arithmetic or of the
reference is used: both must lie within the bounds that `onnx_bounds` derives from the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from linnet import _hooks
from linnet.cli import main
from linnet.format.operations import Draw, Operand, Operation
from linnet.format.reading import read
from linnet.format.voice_file import VoiceFile
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes
from random_programs import random_program
from varied_voices import varied_voices
from voices import tiny_config, tiny_tensors

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from linnet_export.onnx.arena import Place  # noqa: E402
from linnet_export.onnx.networks import networks  # noqa: E402
from onnx_bounds import with_bounds  # noqa: E402
from onnx_voices import VOICES  # noqa: E402

Floats = npt.NDArray[Any]
Values = dict[str, Floats]
STEPS = 200
TEMPERATURE = 5.0  # draws every class, not only the likely ones


def session(model: Any) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options)


def run(session: Any, values: Values) -> Values:
    inputs = {i.name: values[i.name] for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def exactly(values: Values) -> Values:
    return {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in values.items()}


def zero_states(places: dict[str, Place]) -> Values:
    return {k: np.zeros((1, at.size), np.float32) for k, at in places.items() if is_state(k)}


def is_state(name: str) -> bool:
    return name.startswith("state.")


def next_states(outputs: Values) -> Values:
    """The states, and their bounds, for the next step."""
    return {k.replace(".next", ""): v for k, v in outputs.items() if is_state(k)}


def features_of(file: VoiceFile, n_frames: int) -> Floats:
    shape = n_frames, file.header.n_features
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


class Trace:
    """The engine's arena before and after every step, where the networks' floats stand."""

    def __init__(self, data: bytes, n_steps: int = STEPS) -> None:
        self.file = read(data)
        self.found = networks(self.file)
        self.before: list[Values] = []
        self.after: list[Values] = []
        header = self.file.header
        self.features = features_of(self.file, -(-n_steps // header.steps) + header.lookahead)
        _hooks.trace(data, self.features, self.see, 1, TEMPERATURE)

    def see(self, arena: Floats) -> None:
        seen = self.before if len(self.before) == len(self.after) else self.after
        header = self.file.header
        i = len(self.after) % header.steps // header.steps_per_row
        seen.append(
            {
                name: arena[at.offset + at.stride * i :][:size].copy()
                for name, (at, size) in self.found.places.items()
            }
        )

    def engine(self, output: str) -> Floats:
        """(steps, n): what the engine has for an output of the step network."""
        return np.stack([row[output.removesuffix(".next")] for row in self.after])

    def inputs(self) -> Values:
        """Of the step network, all steps as one batch."""
        inputs = {name: np.stack([row[name] for row in self.before]) for name in self.before[0]}
        for draw in (op for op in self.file.sample_program if isinstance(op, Draw)):
            (label,) = (
                name.removesuffix("_value")
                for name, place in self.found.places.items()
                if place.operand == draw.out
            )
            values = self.engine(f"{label}_value")[:, 0].astype(np.float64)
            tokens = (values - draw.offset) / draw.scale
            assert np.abs(tokens - np.rint(tokens)).max() < 0.01
            inputs[label] = np.rint(tokens).astype(np.int64)
            inputs[f"previous_{label}"] = np.concatenate([[-1], inputs[label][:-1]])
        if "values" in inputs:
            made = self.engine("values")
            inputs["previous_values"] = np.concatenate([np.zeros_like(made[:1]), made[:-1]])
        return inputs


def overwritten(file: VoiceFile, logits: Place) -> bool:
    """Whether an operation after their draw writes over logits, so that the arena loses them."""
    n_rows, drawn = file.header.rows, False

    def span(at: Operand, size: int) -> tuple[int, int]:
        return at.offset, at.offset + at.stride * (n_rows - 1) + size

    start, stop = span(*logits)
    for op in file.sample_program:
        used = op.operands(file.tensors_of(op), n_rows)
        written = [span(at, n) for what, at, n in used if what in ("out", "state")]
        if drawn and any(a < stop and b > start for a, b in written):
            return True
        drawn = drawn or (isinstance(op, Draw) and op.input == logits.operand)
    return False


def assert_within(found: Floats, expected: Floats, bound: Floats) -> None:
    off = np.abs(found - expected)
    worst = np.max(off / np.maximum(bound, 1e-300))  # what is only moved has a bound of 0
    assert np.all(off <= bound), f"{worst:.3g} times its bound away"


@pytest.mark.parametrize("name", VOICES)
def test_every_step_of_the_engine_is_that_of_onnxruntime(name: str, tmp_path: Path) -> None:
    """Each step starts from the engine's own state: this holds for chaotic networks as well.

    The 1024-unit workload is one: fed with its own states, two correct computations differ by
    everything after 200 steps.
    """
    trace = Trace(VOICES[name](tmp_path))
    inputs = trace.inputs()
    states = {f"{k}!": np.zeros(v.shape) for k, v in inputs.items() if is_state(k)}
    exact = run(session(with_bounds(trace.found.step)), {**exactly(inputs), **states})
    onnx.checker.check_model(trace.found.step, full_check=True)
    as_written = run(session(trace.found.step), inputs)
    assert len(inputs["state.0"]) >= STEPS and any("_logits" in k for k in as_written)
    for output, found in as_written.items():
        bound = exact[f"{output}!"]
        assert_within(trace.engine(output), exact[output], bound)
        assert_within(found, exact[output], bound)


def test_random_programs_are_translated() -> None:
    """What no exporter writes: places used again, strided results, the output's filter heard."""
    compared = 0
    for seed in range(12):
        data = random_program(seed)
        try:
            trace = Trace(data, 10)
        except ValueError as error:
            assert "ONNX form" in str(error)  # the same floats by two strides, or from two programs
            continue
        inputs = trace.inputs()
        states = {f"{k}!": np.zeros(v.shape) for k, v in inputs.items() if is_state(k)}
        exact = run(session(with_bounds(trace.found.step)), {**exactly(inputs), **states})
        for output in (name for name in exact if not name.endswith("!")):
            place = trace.found.places[output.removesuffix(".next")]
            if is_state(output) or not overwritten(trace.file, place):
                assert_within(trace.engine(output), exact[output], exact[f"{output}!"])
                compared += 1
    assert compared >= 12


@pytest.mark.parametrize("name", VOICES)
def test_frames_of_the_engine_are_those_of_onnxruntime(name: str, tmp_path: Path) -> None:
    data = VOICES[name](tmp_path)
    if not read(data).frame_program:
        pytest.skip("the voice has no frame program")
    trace = Trace(data)
    header, model = trace.file.header, trace.found.frame
    assert model is not None
    onnx.checker.check_model(model, full_check=True)
    network = session(with_bounds(model))
    properties = json.loads(model.metadata_props[0].value)
    states = {i.name: np.zeros((1, i.shape[1])) for i in network.get_inputs() if is_state(i.name)}
    states |= {k: np.array([window]) for k, window in properties["initial"].items()}
    silence = np.array(properties.get("silence", np.zeros(header.n_features)))
    silent = np.tile(silence, (header.priming, 1))
    made = 0
    for t, frame in enumerate(np.concatenate([silent, trace.features])):
        outputs = run(network, {"features": frame[None].astype(np.float64), **states})
        states = next_states(outputs)
        if t < header.priming + header.lookahead:
            continue
        for output in outputs:
            if is_state(output) or output.endswith("!"):
                continue
            found = np.stack([row[output] for row in trace.before[made : made + header.steps]])
            value, bound = (outputs[name][0] for name in (output, f"{output}!"))
            if value.ndim == 2:  # rows
                value, bound = (np.repeat(x, header.steps_per_row, axis=0) for x in (value, bound))
            assert_within(found, value, np.broadcast_to(bound, found.shape))
        made += header.steps
    assert made == len(trace.before) >= STEPS


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("wavernn-dual-softmax", {}), ("wavernn-softmax", {"embedding": 12, "window": 3})],
)
def test_the_step_network_runs_on_its_own_states(architecture: str, shape: dict[str, Any]) -> None:
    """Weights of the state are small here, so that errors die out and bounds stay small."""
    config = tiny_config(architecture)
    tensors = tiny_tensors(config, **shape)
    tensors["gru.weight_hh_l0"] *= 0.05
    trace = Trace(to_bytes(build_voice(Checkpoint(tensors), config, "calm", Storage())))
    inputs = {k: v for k, v in trace.inputs().items() if not is_state(k)}
    bounded, single = session(with_bounds(trace.found.step)), session(trace.found.step)
    states = zero_states(trace.found.places)
    exact_states = {**exactly(states), **{f"{k}!": np.zeros(v.shape) for k, v in states.items()}}
    for t in range(STEPS):
        row = {k: v[t : t + 1] for k, v in inputs.items()}
        exact = run(bounded, {**exactly(row), **exact_states})
        found = run(single, {**row, **states})
        states, exact_states = next_states(found), next_states(exact)
        for output in found:
            bound = exact[f"{output}!"]
            assert bound.max() < 0.1
            assert_within(trace.engine(output)[t], exact[output][0], bound[0])
            assert_within(found[output], exact[output], bound)


@pytest.mark.parametrize("name", ["dual-4x4-fp16", "scalar-1x4-fp32"])
def test_a_weight_that_is_off_by_a_hundredth_is_noticed(name: str) -> None:
    trace = Trace(varied_voices()[name])
    inputs = trace.inputs()
    states = {f"{k}!": np.zeros(v.shape) for k, v in inputs.items() if is_state(k)}
    (weights,) = (
        i for i in trace.found.step.graph.initializer if i.name == "gru.recurrent:constant"
    )
    wrong = onnx.numpy_helper.to_array(weights).copy()
    wrong[tuple(np.argwhere(wrong)[0])] *= 1.01
    weights.CopyFrom(onnx.numpy_helper.from_array(wrong, weights.name))
    exact = run(session(with_bounds(trace.found.step)), {**exactly(inputs), **states})
    with pytest.raises(AssertionError, match="times its bound"):
        assert_within(trace.engine("state.0.next"), exact["state.0.next"], exact["state.0.next!"])


def test_the_command_writes_both_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = varied_voices()["embedding-1x16-fp16"]
    Path("voice.linnet").write_bytes(data)
    assert main(["export", "voice.linnet", "--to-onnx", "out.onnx"]) == 0
    assert capsys.readouterr().out.split() == ["out.onnx", "out-frame.onnx"]
    header = read(data).header
    step, frame = (onnx.load(path) for path in ("out.onnx", "out-frame.onnx"))
    (entry,) = step.metadata_props
    properties = json.loads(entry.value)
    assert entry.key == "linnet" and properties["classes"] == {"token": 256}
    assert properties["lookahead"] == header.lookahead
    assert {i.name for i in step.graph.input} >= {"previous_token", "frame.gru.conditioning"}
    assert "frame.gru.conditioning" in {o.name for o in frame.graph.output}


def test_an_operation_without_translation_is_named() -> None:
    @dataclass(frozen=True)
    class Echo(Operation):
        size: int = 1

    file = read(varied_voices()["dense-fp16"])
    with pytest.raises(ValueError, match="operation 'echo' has no ONNX form"):
        networks(replace(file, sample_program=(Echo(), *file.sample_program)))
