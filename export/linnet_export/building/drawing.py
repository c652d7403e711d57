"""Operations that draw values and make samples of them."""

from __future__ import annotations

import math

import numpy as np

from linnet.format.operations import (
    COMPANDINGS,
    SCALE_ACTIVATIONS,
    Draw,
    Logistics,
    Operand,
    Output,
    Predict,
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
