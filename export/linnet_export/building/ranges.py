"""Within which range the operands of int8 matrices lie, where a voice's programs tell it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from linnet.format.operations import ACTIVATIONS, Gates, Linear, Operand, Operation
from linnet.format.voice_file import VoiceFile

# Operands that are only read; whatever else an operation names, it writes.
_READ = {"input", "add", "recurrent", "gain", "means", "scales", "predicted", "conditions"}
_BOUNDED = {ACTIVATIONS.index("tanh"), ACTIVATIONS.index("sigmoid")}  # to -1 .. 1


def with_input_ranges(voice: VoiceFile) -> VoiceFile:
    """The voice, each of its int8 matrices with the range of its operand: of a GRU's state, or of
    what a tanh or a sigmoid gives, -1 .. 1, so that no product looks for the greatest. The others'
    stay as they are.
    """
    of_int8 = {number for number, tensor in enumerate(voice.tensors) if tensor.dtype == "int8"}
    if not of_int8:
        return voice
    limits, ranges = _limits(voice), dict.fromkeys(of_int8, 0.0)
    for op in (*voice.frame_program, *voice.sample_program):
        if isinstance(op, Linear) and op.weights in of_int8:
            cols = voice.tensors[op.weights].packed.cols
            reached = max(limits[part].max() for part in _rows(voice, op.input, cols))
            ranges[op.weights] = max(ranges[op.weights], float(reached))
    tensors = list(voice.tensors)
    for number, reached in ranges.items():
        if 0 < reached < np.inf:
            packed = replace(tensors[number].packed, input_range=reached)
            tensors[number] = replace(tensors[number], packed=packed)
    return replace(voice, tensors=tuple(tensors))


def _limits(voice: VoiceFile) -> npt.NDArray[np.float64]:
    """What each float of the arena may reach: 0 where nothing writes it."""
    header = voice.header
    limits = np.zeros(header.arena_size)
    limits[header.features_at :][: header.n_features] = np.inf
    for op in (*voice.frame_program, *voice.sample_program):
        for what, operand, size in op.operands(voice.tensors_of(op), header.rows):
            if what not in _READ:
                for part in _rows(voice, operand, size):
                    limits[part] = np.maximum(limits[part], _limit(op, what))
    return limits


def _limit(op: Operation, what: str) -> float:
    bounded = isinstance(op, Linear) and what == "out" and op.activation in _BOUNDED
    return 1.0 if bounded or (isinstance(op, Gates) and what == "state") else np.inf


def _rows(voice: VoiceFile, operand: Operand, size: int) -> list[slice]:
    """The floats of an operand in each row of a frame."""
    starts = [operand.offset + operand.stride * row for row in range(voice.header.rows)]
    return [slice(start, start + size) for start in dict.fromkeys(starts)]
