"""The state of one utterance in the reference, and the draws that depend on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.operations import Draw, History, Logistics, Operand, Output
from linnet.format.voice_file import VoiceFile
from linnet.reference import functions, logistics, prediction, source_filter

Floats = npt.NDArray[np.float32]


def _inverse(temperature: float) -> np.float32 | None:
    """1 / temperature, None where that is not finite: then the likeliest class is drawn."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not in [0, infinity)")
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / np.float32(temperature)
    return inverse if np.isfinite(inverse) else None


class State:
    """The arena, the token slots, the steps made; teacher-forced by `tokens`.

    tensors: as the operations take them, by their index.
    """

    def __init__(
        self,
        file: VoiceFile,
        tensors: list[Any],
        seed: int,
        stream: int,
        temperature: float,
        tokens: list[int] | None = None,
    ) -> None:
        self.file, self.tensors = file, tensors
        self.seed, self.stream = seed, stream
        self.temperature = np.float32(temperature)
        self.inverse_temperature = _inverse(temperature)
        self.tokens = tokens
        self.nats: list[float] = []
        self.arena = np.zeros(file.header.arena_size, np.float32)
        self.slots = [0] * file.header.n_slots
        self.made = 0
        self.recorded = np.float32(0)  # the last sample of what is scored
        self.output = file.sample_program[-1]
        for operation in file.frame_program:
            if isinstance(operation, History) and operation.initial is not None:
                window = tensors[operation.initial]
                self.at(operation.out, 0, len(window))[:] = window
        for operation in file.sample_program:
            if isinstance(operation, Draw):
                self.slots[operation.slot] = operation.initial_token
                self.arena[operation.out.offset] = operation.initial_value

    def at(self, operand: Operand, i: int, size: int) -> Floats:
        """The floats of an operand, in row i."""
        start = operand.offset + operand.stride * i
        return self.arena[start : start + size]

    def is_complete(self) -> bool:
        """Whether all tokens are scored; never in a free run."""
        per_step = self.file.header.samples_per_step
        return self.tokens is not None and self.made * per_step == len(self.tokens)

    def noise(self, first: int, n: int) -> Floats:
        """n random numbers of the step, near to normal, from the word `first` on."""
        words = (
            functions.random_word(self.seed, self.stream, self.made, first + i) for i in range(n)
        )
        return np.array([source_filter.noise_of(word) for word in words], np.float32)

    def draw(self, draw: Draw, logits: Floats, i: int) -> int:
        """A token: drawn, the likeliest, or the one that is told."""
        if self.tokens is not None:
            return self.forced(draw, logits, i)
        if self.inverse_temperature is None:
            m, _, _ = functions.exponentials(logits, np.float32(1))
            return functions.likeliest(logits, np.float32(m))
        _, e, groups = functions.exponentials(logits, self.inverse_temperature)
        u = functions.uniform(self.seed, self.stream, self.made, draw.random_word)
        return functions.draw(draw.classes, e, groups, u)

    def forced(self, draw: Draw, logits: Floats, i: int) -> int:
        """The token that is told, whose likelihood is noted."""
        assert self.tokens is not None
        token = told = self.tokens[self.made]
        assert isinstance(self.output, Output)
        if self.output.excites:
            token = self._excitation(self.output, draw.classes, told, i)
        elif self.output.low is not None:
            token = token >> 8 if draw.slot == self.output.high else token & 255
        if not 0 <= token < draw.classes:
            raise ValueError(f"token {told} of sample {self.made} is out of range")
        m, _, groups = functions.exponentials(logits, np.float32(1))
        c_last = float(functions.cumulated(groups))
        self.nats[-1] += math.log(c_last) - (float(logits[token]) - float(m))
        return token

    def _excitation(self, output: Output, classes: int, told: int, i: int) -> int:
        """The token that leads nearest to a sample of the recording, told as its value + 32768."""
        x = np.float32((told - 32768) / 32768)
        sample = functions.deemphasize(x, np.float32(-output.pre_emphasis), self.recorded)
        self.recorded = x
        return prediction.token_of(
            self.at(output.predicted, i, 2),
            np.float32(sample),
            np.float32(output.scale),
            np.float32(output.offset),
            np.float32(output.mu),
            np.float32(output.log1p_mu),
            classes,
        )

    def draw_logistic(self, op: Logistics, i: int, band: int) -> np.float32:
        """The value of a band."""
        part = slice(band * op.mixtures, (band + 1) * op.mixtures)
        size = op.mixtures * op.bands
        logits, means, scales = (
            self.at(operand, i, size)[part] for operand in (op.input, op.means, op.scales)
        )
        steps = np.float32(op.values_per_unit)
        if self.tokens is not None:
            token = self.tokens[self.made * op.bands + band]
            self.nats[-1] += logistics.nats(op, logits, means, scales, token)
            return logistics.token_value(op, token)
        if self.inverse_temperature is None:
            m, _, _ = functions.exponentials(logits, np.float32(1))
            k = functions.likeliest(logits, np.float32(m))
            return np.float32(logistics.rounded(means[k], steps))
        _, e, groups = functions.exponentials(logits, self.inverse_temperature)
        choice, quantile = (
            functions.uniform(self.seed, self.stream, self.made, op.random_word + word)
            for word in (band, op.bands + band)
        )
        k = functions.draw(op.mixtures, e, groups, choice)
        scale = logistics.scale_of(scales[k], np.float32(op.least_scale), op.scale_activation)
        v = logistics.value(means[k], np.float32(scale), self.temperature, quantile)
        return np.float32(logistics.rounded(np.float32(v), steps))
