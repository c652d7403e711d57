"""Executes operations on the state of an utterance: one function for each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from linnet.format.operations import (
    Add,
    AllPole,
    Draw,
    Embedding,
    Gates,
    Harmonics,
    History,
    Levinson,
    Linear,
    Logistics,
    Operation,
    Output,
    Pitch,
    Predict,
    Source,
    StepUp,
    SubBands,
    Upsample,
    sub_bands_state_size,
)
from linnet.reference import functions, logistics, prediction, source_filter
from linnet.reference.state import State


def execute(state: State, operation: Operation, i: int) -> None:
    """Run an operation that sees row i of its frame."""
    _FUNCTIONS[type(operation)](state, operation, i)


def samples(state: State, i: int) -> list[int]:
    """The samples, signed 16-bit numbers, that the last operation of a step makes."""
    return _OUTPUTS[type(state.output)](state, state.output, i)


def _linear(state: State, op: Linear, i: int) -> None:
    matrix = state.tensors[op.weights]
    bias = None if op.bias is None else state.tensors[op.bias]
    y = matrix.times(state.at(op.input, i, matrix.packed.padded_cols), bias)
    if op.add is not None:
        y = functions.add(y, state.at(op.add, i, len(y)))
    functions.activate(op.activation, y)
    state.at(op.out, i, len(y))[:] = y


def _gates(state: State, op: Gates, i: int) -> None:
    recurrent, given = (state.at(sums, i, 3 * op.units) for sums in (op.recurrent, op.input))
    functions.gates(recurrent, given, state.at(op.state, i, op.units))


def _history(state: State, op: History, i: int) -> None:
    window = state.at(op.out, i, op.frames * op.size)
    window[: -op.size] = window[op.size :].copy()
    window[-op.size :] = state.at(op.input, i, op.size)


def _upsample(state: State, op: Upsample, i: int) -> None:
    rows = state.file.header.rows
    y = np.empty((rows, op.channels), np.float32)
    window = state.at(op.input, i, op.window * op.channels).reshape(op.window, op.channels)
    functions.upsample(state.tensors[op.weights].reshape(rows, op.window), window, y)
    for row in range(rows):
        state.at(op.out, row, op.channels)[:] = y[row]


def _add(state: State, op: Add, i: int) -> None:
    y = functions.add(state.at(op.input, i, op.size), state.at(op.add, i, op.size))
    functions.activate(op.activation, y)
    state.at(op.out, i, op.size)[:] = y


def _embedding(state: State, op: Embedding, i: int) -> None:
    row = state.tensors[op.table][state.slots[op.slot]]
    state.at(op.out, i, len(row))[:] = row


def _draw(state: State, op: Draw, i: int) -> None:
    token = state.draw(op, state.at(op.input, i, op.classes), i)
    state.slots[op.slot] = token
    value = functions.affine(token, np.float32(op.scale), np.float32(op.offset))
    state.at(op.out, i, 1)[0] = value


def _logistics(state: State, op: Logistics, i: int) -> None:
    for band in range(op.bands):
        state.at(op.out, i, op.bands)[band] = state.draw_logistic(op, i, band)


def _step_up(state: State, op: StepUp, i: int) -> None:
    reflection = state.at(op.input, i, op.order)
    state.at(op.out, i, op.order)[:] = prediction.step_up(reflection)


def _predict(state: State, op: Predict, i: int) -> None:
    prediction.predict(
        state.at(op.input, i, op.order),
        state.at(op.gain, i, 1)[0],
        np.float32(op.least_gain),
        state.at(op.past, i, op.order),
        state.at(op.out, i, 4),
    )


def _pitch(state: State, op: Pitch, i: int) -> None:
    logits, voicing = state.at(op.input, i, op.bins), state.at(op.voicing, i, 1)[0]
    pitch = source_filter.pitch(logits, state.tensors[op.centres], op.reach, voicing)
    state.at(op.out, i, 2)[:] = pitch


def _levinson(state: State, op: Levinson, i: int) -> None:
    for row in range(state.file.header.rows):
        state.at(op.out, row, op.lags)[:] = source_filter.levinson(
            state.at(op.input, row, op.lags), np.float32(op.power), np.float32(op.least_gain)
        )


def _harmonics(state: State, op: Harmonics, i: int) -> None:
    frequency, voiced = state.at(op.input, i, 2)
    phases, top, per_cycle = state.tensors[op.phases], np.float32(op.top), np.float32(op.per_cycle)
    parts = source_filter.harmonics(op.most, frequency, voiced, phases, top, per_cycle)
    state.at(op.out, i, 2 * op.most)[:] = parts.reshape(-1)


def _source(state: State, op: Source, i: int) -> None:
    state.at(op.out, i, op.samples)[:] = source_filter.source(
        state.at(op.pitch, i, 4),
        state.at(op.parts, i, 4 * op.most).reshape(2, 2, op.most),
        state.noise(op.random_word, op.samples),
        state.temperature,
        op.samples * i,
        state.file.header.hop_length,
        state.at(op.state, i, 1),
    )


def _all_pole(state: State, op: AllPole, i: int) -> list[int]:
    samples = source_filter.all_pole(
        state.at(op.input, i, op.samples),
        state.at(op.coefficients, i, op.order),
        state.at(op.gain, i, 1)[0],
        state.at(op.past, i, op.order),
    )
    kept = state.at(op.state, i, 1)
    made = []
    for sample in samples:
        kept[0] = functions.deemphasize(sample, np.float32(op.pre_emphasis), kept[0])
        made.append(functions.to_pcm(kept[0]))
    return made


def _bands(state: State, op: SubBands, i: int) -> list[int]:
    filters = None if op.weights is None else state.tensors[op.weights]
    size = sub_bands_state_size(op.levels, 0 if filters is None else len(filters))
    return logistics.merge_bands(
        op, filters, state.at(op.input, i, op.bands), state.at(op.state, i, size)
    )


def token(op: Output, state: State) -> int:
    """The token that the slots hold."""
    high = state.slots[op.high]
    return high if op.low is None else 256 * high + state.slots[op.low]


def companded(op: Output, token: int) -> np.float32:
    """The value that a token stands for."""
    return np.float32(functions.affine(token, np.float32(op.scale), np.float32(op.offset)))


def expanded(op: Output, token: int) -> np.float32:
    """The expanded value of a token."""
    v = companded(op, token)
    if op.companding != 0:
        v = np.float32(functions.expand(v, np.float32(op.log1p_mu), np.float32(op.inverse_mu)))
    return v


def _output(state: State, op: Output, i: int) -> list[int]:
    v = expanded(op, token(op, state))
    if op.excites:
        v = np.float32(prediction.excited(state.at(op.predicted, i, 2), v))
        state.at(op.past, i, 1)[0] = v
    kept = state.at(op.state, i, 1)
    kept[0] = functions.deemphasize(v, np.float32(op.pre_emphasis), kept[0])
    return [functions.to_pcm(kept[0])]


_FUNCTIONS: dict[type[Operation], Callable[[State, Any, int], None]] = {
    Linear: _linear,
    Gates: _gates,
    History: _history,
    Upsample: _upsample,
    Add: _add,
    Embedding: _embedding,
    Draw: _draw,
    Logistics: _logistics,
    StepUp: _step_up,
    Predict: _predict,
    Pitch: _pitch,
    Levinson: _levinson,
    Harmonics: _harmonics,
    Source: _source,
}
_OUTPUTS: dict[type[Operation], Callable[[State, Any, int], list[int]]] = {
    SubBands: _bands,
    Output: _output,
    AllPole: _all_pole,
}
