"""Operations that draw values and make samples of them."""

from __future__ import annotations

import math

import numpy as np

from linnet.format.operations import (
    COMPANDINGS,
    SCALE_ACTIVATIONS,
    AllPole,
    Draw,
    Harmonics,
    Levinson,
    Logistics,
    Operand,
    Output,
    Pitch,
    Predict,
    Source,
    StepUp,
    SubBands,
    sub_bands_state_size,
)
from linnet_export.building.buffers import Buffer, Slot
from linnet_export.building.program import Program, expect
from linnet_export.building.tensors import Weights
from linnet_export.config import Signal


class Drawing(Program):
    """Emits what draws, predicts and puts out."""

    def draw(
        self,
        slot: Slot,
        logits: Buffer,
        out: Buffer,
        *,
        scale: float,
        offset: float,
        initial_token: int,
        initial_value: float | None = None,
    ) -> None:
        """Draw the slot's token; out = token scale + offset; before, the initial token's value."""
        expect(
            logits.size == slot.classes, f"draw: {logits.size} logits for {slot.classes} classes"
        )
        if initial_value is None:
            initial_value = float(
                np.float32(initial_token * float(np.float32(scale)) + float(np.float32(offset)))
            )
        operands = (logits.operand, out.operand)
        self.emit(
            Draw(
                slot.classes,
                slot.number,
                initial_token,
                *operands,
                scale,
                offset,
                initial_value,
                slot.number,
            )
        )

    def logistics(
        self,
        logits: Buffer,
        means: Buffer,
        scales: Buffer,
        out: Buffer,
        *,
        scale_activation: str = "exp",
        least_scale: float = -86.0,
        values_per_unit: float = 0.0,
        classes: int = 65536,
    ) -> None:
        """Draw a value for each float of `out` from mixtures of logistics.

        logits, means, scales: (bands x mixtures); a logistic's scale is exp or softplus
        (`scale_activation`) of its parameter, which counts as least_scale where it is less.
        values_per_unit: a value is cut to so many steps, and to 16 bits; with 0 it is any number of
        [-1, 1], and a score knows `classes` even ones.
        """
        mixtures, rest = divmod(logits.size, out.size)
        expect(
            not rest and logits.size == means.size == scales.size,
            f"logistics: {logits.size} logits, {means.size} means and {scales.size} scales for "
            f"{out.size} bands",
        )
        self.emit(
            Logistics(
                mixtures,
                out.size,
                SCALE_ACTIVATIONS.index(scale_activation),
                logits.operand,
                out.operand,
                means.operand,
                scales.operand,
                least_scale,
                len(self.slots),
                values_per_unit,
                classes,
            )
        )

    def bands(
        self, bands: Buffer, filters: Weights | None = None, pre_emphasis: float = 0.0
    ) -> None:
        """Turn a value of each band into as many samples.

        filters: (2, sections), coefficients of the two all-pass filters that merge two bands;
        None for one band.
        """
        levels = bands.size.bit_length() - 1
        expect(1 << levels == bands.size, f"bands: {bands.size} is no power of two")
        expect((filters is None) == (levels == 0), f"bands: filters do not go with {bands.size}")
        weights, coefficients = None, 0
        if filters is not None:
            weights = self.vector("bands", filters)
            coefficients = filters.size
        state = self.buffer(sub_bands_state_size(levels, coefficients)).operand
        self.emit(SubBands(levels, weights, bands.operand, state, pre_emphasis))

    def step_up(self, reflection: Buffer) -> Buffer:
        """Prediction coefficients (order) from reflection coefficients (order)."""
        out = self.buffer(reflection.size)
        self.emit(StepUp(out.size, reflection.operand, out.operand))
        return out

    def predict(self, coefficients: Buffer, gain: Buffer, out: Buffer, least_gain: float) -> Buffer:
        """out (4): prediction, gain, and as signed roots the prediction and the last sample, in
        gains. The place of the past (order) that it predicts from."""
        expect(gain.size == 1 and out.size == 4, f"predict: {gain.size}, {out.size} floats")
        past = self.buffer(coefficients.size)
        a, found, g, before = (b.operand for b in (coefficients, out, gain, past))
        self.emit(Predict(past.size, a, found, g, before, least_gain))
        return past

    def pitch(self, logits: Buffer, voicing: Buffer, centres: Weights, reach: int) -> Buffer:
        """(2): cycles a sample, and 1 where voiced; centres: logarithms of cycles a sample."""
        expect(logits.size == centres.size and voicing.size == 1, "pitch: sizes do not fit")
        out = self.buffer(2)
        vector = self.vector("pitch.centres", centres)
        operands = (logits.operand, out.operand, voicing.operand)
        self.emit(Pitch(logits.size, vector, reach, *operands))
        return out

    def levinson(self, autocorrelations: Buffer, power: float, least_gain: float) -> Buffer:
        """Rows of coefficients and, behind them, a gain, from rows of autocorrelations."""
        out = self.rows(autocorrelations.size)
        operands = (autocorrelations.operand, out.operand)
        self.emit(Levinson(out.size, *operands, power, least_gain))
        return out

    def harmonics(
        self, pitch: Buffer, most: int, phases: Weights, top: float, per_cycle: float
    ) -> Buffer:
        """(2 most) cosine and sine parts of a pitch (2); phases: turns, per_cycle of them up to a
        frequency of one cycle a sample, where only those below `top` have harmonics."""
        expect(pitch.size == 2, f"harmonics: a pitch of {pitch.size} floats")
        out = self.buffer(2 * most)
        vector = self.vector("harmonics.phases", phases)
        self.emit(Harmonics(most, vector, pitch.operand, out.operand, top, per_cycle))
        return out

    def source(self, pitch: Buffer, parts: Buffer) -> Buffer:
        """The excitation of a step, from two frames of pitch (4) and of harmonics (4 most)."""
        most, rest = divmod(parts.size, 4)
        expect(pitch.size == 4 and not rest, f"source: {pitch.size}, {parts.size} floats")
        out, turn = self.buffer(self.samples_per_step), self.buffer(1)
        operands = (pitch.operand, out.operand, parts.operand, turn.operand)
        self.emit(Source(most, out.size, 0, *operands))
        return out

    def all_pole(
        self, excitation: Buffer, coefficients: Buffer, gain: Buffer, pre_emphasis: float
    ) -> None:
        """Filter the excitation of a step to its samples."""
        n, order = excitation.size, coefficients.size
        expect(n == self.samples_per_step and gain.size == 1, f"all_pole: {n}, {gain.size} floats")
        state, past = self.buffer(1), self.buffer(order)
        taken, kept, a, g, before = (
            b.operand for b in (excitation, state, coefficients, gain, past)
        )
        self.emit(AllPole(order, n, taken, kept, a, g, before, pre_emphasis))

    def output(
        self,
        signal: Signal,
        high: Slot,
        low: Slot | None = None,
        excited: tuple[Buffer, Buffer] | None = None,
    ) -> None:
        """Turn the tokens into the sample; excited: what a `predict` gave, and its past."""
        mu = signal.mu if signal.companding != "linear" else 0.0
        excitation = signal.companding == "excitation"
        expect(excitation == (excited is not None), f"{signal.companding} and a prediction")
        predicted, past = (b.operand for b in excited) if excited else (Operand(0), Operand(0))
        self.emit(
            Output(
                high.number,
                low.number if low else None,
                COMPANDINGS.index(signal.companding),
                self.buffer(1).operand,
                signal.scale,
                -1.0,
                mu / signal.range,
                math.log1p(mu),
                signal.range / mu if mu else 0.0,
                signal.pre_emphasis,
                predicted=predicted,
                past=past,
            )
        )
