"""A subscale voice in the reference: one sub-tensor after the other, each from start to end.

The runtime makes all of them at once, each a little behind the one before; that the samples are the
same shows that they do not depend on the order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from linnet.format.operations import Operation, Output, Subscale
from linnet.reference import functions, operations
from linnet.reference.state import State

# A sub-tensor's state as a reset leaves it, and what runs an operation that sees a row of a frame.
Lane = tuple[State, Callable[[Operation, int], None]]

Floats = npt.NDArray[np.float32]


class Conditions:
    """What each frame of an utterance gives to its sub-tensors: rows of `size` floats."""

    def __init__(self, subscale: Subscale, rows: int) -> None:
        self.subscale, self.rows = subscale, rows
        self.frames: list[list[Floats]] = []

    def keep(self, state: State) -> None:
        """Those of the next frame, from the arena that the frame program has left."""
        operand, size = self.subscale.conditions, self.subscale.size
        self.frames.append([state.at(operand, row, size).copy() for row in range(self.rows)])

    def show(self, frame: int, state: State) -> None:
        """Put those of a frame to the same place of another arena."""
        for row, floats in enumerate(self.frames[frame]):
            state.at(self.subscale.conditions, row, self.subscale.size)[:] = floats


class SubTensors:
    """The sub-tensors of one utterance: their tokens, and those tokens' likelihoods.

    new_lane: teacher-forced, each knows all tokens of the signal.
    """

    def __init__(self, new_lane: Callable[[], Lane], conditions: Conditions) -> None:
        state, _ = new_lane()
        self.file, self.conditions = state.file, conditions
        self.subscale = conditions.subscale
        assert isinstance(state.output, Output)
        self.output = state.output
        self.places = len(conditions.frames) * self.file.header.steps
        shape = (self.subscale.sub_tensors, self.places)
        self.tokens = np.zeros(shape, np.int64)
        self.values = np.zeros(shape, np.float32)  # companded
        self.nats = np.zeros(shape)
        for number in range(self.subscale.sub_tensors):
            self._generate(number, *new_lane())

    def samples(self) -> list[int]:
        """The signal, signed 16-bit numbers."""
        kept = np.float32(0)
        samples = []
        for token in self.tokens.T.ravel():
            value = operations.expanded(self.output, int(token))
            kept = np.float32(
                functions.deemphasize(value, np.float32(self.output.pre_emphasis), kept)
            )
            samples.append(functions.to_pcm(kept))
        return samples

    def _generate(
        self, number: int, state: State, execute: Callable[[Operation, int], None]
    ) -> None:
        header, n = self.file.header, self.subscale.sub_tensors
        for place in range(self.places):
            frame, step = divmod(place, header.steps)
            if step == 0:
                self.conditions.show(frame, state)
            row = step // header.steps_per_row
            state.made = place * n + number
            state.nats.append(0.0)
            seen = self._seen(number, place)
            state.at(self.subscale.out, row, len(seen))[:] = seen
            for operation in self.file.sample_program[1:-1]:
                execute(operation, row)
            token = operations.token(self.output, state)
            self.tokens[number, place] = token
            self.values[number, place] = operations.companded(self.output, token)
            self.nats[number, place] = state.nats[-1]

    def _seen(self, number: int, place: int) -> Floats:
        """What a sub-tensor sees at a place: those before it, the nearest first, and its number."""
        before, beyond = self.subscale.past, self.subscale.future
        out = np.zeros((self.subscale.sub_tensors - 1, before + 1 + beyond), np.float32)
        padded = np.pad(self.values, ((0, 0), (before, beyond)))
        for d in range(1, number + 1):
            out[d - 1] = padded[number - d, place : place + before + 1 + beyond]
        one_hot = np.arange(self.subscale.sub_tensors) == number
        return np.concatenate([out.ravel(), one_hot.astype(np.float32)])
