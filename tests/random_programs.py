"""Random valid programs: operations in orders, shapes and places that no exporter writes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from linnet.format import blocks, dtypes
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
    Match,
    Operand,
    Operation,
    Output,
    Pitch,
    Predict,
    Source,
    StepUp,
    SubBands,
    Subscale,
    Upsample,
    sub_bands_state_size,
)
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet_export.writing.writer import to_bytes

Vector = tuple[Operand, int]  # where, floats

SUB_TENSORS = (2, 3, 4, 8, 16)


class _Builder:
    def __init__(self, rng: np.random.Generator, sub_tensors: int | None) -> None:
        self.rng = rng
        if sub_tensors is None:
            sub_tensors = int(rng.choice(SUB_TENSORS)) if self.chance(0.2) else 1
        self.sub_tensors = sub_tensors
        self.levels = self.pick(0, 3) if self.chance(0.4) else None  # of bands
        self.values = self.levels is None and self.chance(0.4)  # or else tokens
        self.samples_per_step = self.pick(1, 64) if self.values else 1 << (self.levels or 0)
        if sub_tensors > 1:
            self.levels, self.values, self.samples_per_step = None, False, sub_tensors
        self.steps_per_row = 1 if self.values else self.pick(1, 3)
        self.rows = self.pick(1, 4)
        self.arena_size = 0
        self.tensors: list[Tensor] = []
        self.program: list[Operation] = []
        self.products: list[Vector] = []  # results that later products may overwrite

    def pick(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def take(self, size: int, stride: int = 0) -> Vector:
        """A new place; products read up to 15 floats beyond a vector."""
        offset = self.arena_size + self.pick(0, 3)
        self.arena_size = offset + size + stride * (self.rows - 1) + 15
        return Operand(offset, stride), size

    def place_of_product(self, size: int, read: list[Vector]) -> Vector:
        """A new place, or one whose result was used before, apart from what is read."""

        def reach(vector: Vector) -> tuple[int, int]:
            operand, n = vector
            return operand.offset, operand.offset + n + operand.stride * (self.rows - 1) + 15

        for number in self.rng.permutation(len(self.products)) if self.chance(0.5) else []:
            old = self.products[number]
            first, last = reach(old)
            apart = all(first >= reach(r)[1] or last <= reach(r)[0] for r in read)
            if old[1] >= size and apart:
                return old[0], size
        place = self.take(size, size * self.pick(0, 1))
        self.products.append(place)
        return place

    def tensor(self, weights: np.ndarray, layout: str, dtype: str) -> int:
        packed = blocks.pack(weights.astype(np.float32), layout, dtype)
        self.tensors.append(Tensor(f"tensor.{len(self.tensors)}", packed))
        return len(self.tensors) - 1

    def numbers(self, *shape: int) -> np.ndarray:
        return self.rng.normal(0, 1, shape)

    def dtype(self) -> str:
        return str(self.rng.choice(list(dtypes.DTYPES)))

    def linear(self, source: Vector, rows: int, add: Vector | None = None) -> Vector:
        layout = str(self.rng.choice(["dense", *blocks.BLOCKS]))
        weights = self.numbers(rows, source[1]) / np.sqrt(source[1]) * self.rng.choice([1, 3])
        weights *= self.rng.random(weights.shape) < self.rng.choice([0.1, 1])
        bias = None
        if self.chance(0.7):
            bias = self.tensor(self.numbers(rows), "vector", "float32")
        out = self.place_of_product(rows, [source] if add is None else [source, add])
        number = self.tensor(weights, layout, self.dtype())
        place = None if add is None else add[0]
        self.program.append(Linear(number, bias, self.pick(0, 3), source[0], out[0], place))
        return out

    def gates(self, recurrent: Vector, input: Vector) -> Vector:
        state = self.take(min(recurrent[1], input[1]) // 3)
        self.program.append(Gates(state[1], recurrent[0], state[0], input[0]))
        return state

    def add(self, a: Vector, b: Vector) -> Vector:
        size = min(a[1], b[1])
        out = [self.take(size), (a[0], size), (b[0], size)][self.pick(0, 2)]
        self.program.append(Add(size, self.pick(0, 3), a[0], out[0], b[0]))
        return out

    def history(self, source: Vector) -> Vector:
        frames = self.pick(1, 4)
        out = self.take(source[1] * frames)
        initial = None
        if self.chance(0.5):
            initial = self.tensor(self.numbers(out[1]), "vector", "float32")
        self.program.append(History(source[1], frames, initial, source[0], out[0]))
        return out

    def upsample(self, source: Vector) -> Vector:
        channels = self.pick(1, source[1])
        window = source[1] // channels
        weights = self.tensor(self.numbers(self.rows * window), "vector", "float32")
        out = self.take(channels, channels + self.pick(0, 3))
        self.program.append(Upsample(weights, channels, window, source[0], out[0]))
        return out

    def pitch(self, source: Vector) -> Vector:
        bins = self.pick(1, source[1])
        centres = self.tensor(self.rng.uniform(-7, 0, bins), "vector", "float32")
        out = self.take(2)
        self.program.append(
            Pitch(bins, centres, self.pick(0, 4), source[0], out[0], voicing=source[0])
        )
        return out

    def harmonics(self, pitch: Vector) -> Vector:
        most = self.pick(1, 40)
        phases = self.tensor(self.numbers(self.pick(1, 9)), "vector", "float32")
        out = self.take(2 * most)
        top, per_cycle = (float(np.float32(self.rng.uniform(1e-3, x))) for x in (0.5, 99))
        self.program.append(Harmonics(most, phases, pitch[0], out[0], top, per_cycle))
        return out

    def levinson(self, source: Vector) -> Vector:
        """source: rows of two floats or more."""
        lags = self.pick(2, min(source[1], 65))
        out = self.take(lags, lags + self.pick(0, 3))
        power, least = (float(np.float32(self.rng.uniform(0, x))) for x in (2, 0.1))
        self.program.append(Levinson(lags, source[0], out[0], power, least))
        return out

    def step_up(self, source: Vector) -> Vector:
        size = min(source[1], 64)
        out = self.take(size)
        self.program.append(StepUp(size, source[0], out[0]))
        return out

    def mix(self, vectors: list[Vector]) -> Vector:
        """One operation that both programs may have, over the newest vector and any other one."""
        newest, other = vectors[-1], vectors[self.pick(0, len(vectors) - 1)]
        kind = self.pick(0, 3)
        if kind == 0:
            return self.add(newest, other)
        if kind == 1 and min(newest[1], other[1]) >= 3:
            return self.gates(newest, other)
        return self.linear(newest, self.pick(1, other[1]), other if kind == 2 else None)


def random_program(
    seed: int, sub_tensors: int | None = None, future: int | None = None, match: bool | None = None
) -> bytes:
    """The file of a random voice: up to 192 samples per frame, 1 to 20 features, and 1 or 2 draws,
    a mixture of logistics or a source and a filter, with or without linear prediction, sub-tensors
    and a match. The arguments fix what is else left to chance; one sub-tensor is the whole signal.
    """
    build = _Builder(np.random.default_rng(seed), sub_tensors)
    pick = build.pick
    features = build.take(pick(1, 20))

    frame_values = [features]
    upsampled: list[Vector] = []
    for _ in range(pick(0, 6)):
        kind = pick(0, 5)
        if kind == 5:
            rows = [vector for vector in upsampled if vector[1] > 1]
            if rows:
                upsampled.append(build.levinson(rows[-1]))
        elif kind == 4:
            frame_values.append(build.step_up(frame_values[-1]))
        elif kind == 0:
            frame_values.append(build.history(frame_values[-1]))
        elif kind == 1:
            upsampled.append(build.upsample(frame_values[-1]))
        else:
            frame_values.append(build.mix(frame_values))
    excitation = _excitation(build, frame_values) if build.values else None
    frame_program, build.program = tuple(build.program), []

    ahead = 0
    if build.sub_tensors > 1:
        ahead, *seen = _subscale(build, frame_values[-1], upsampled, future)
        n_slots = _tokens(build, features, [*seen, frame_values[-1], *upsampled])
    elif excitation is not None:
        n_slots = _values(build, excitation, [features, frame_values[-1], *upsampled])
    elif build.levels is None:
        n_slots = _tokens(build, features, [frame_values[-1], *upsampled])
    else:
        n_slots = _bands(build, build.levels, [features, frame_values[-1], *upsampled])
    silence = None
    if build.chance(0.5):
        silence = build.tensor(build.numbers(features[1]), "vector", "float32")
    header = Header(
        sample_rate=16000,
        hop_length=build.rows * build.steps_per_row * build.samples_per_step,
        n_features=features[1],
        lookahead=ahead + pick(0, 3),
        priming=pick(0, 3),
        arena_size=build.arena_size,
        n_slots=n_slots,
        features_at=features[0].offset,
        samples_per_step=build.samples_per_step,
        steps_per_row=build.steps_per_row,
        silence=silence,
    )
    matches = build.chance(0.4) if match is None else match
    after = _match(build, features[1], header.hop_length) if matches else None
    program = tuple(build.program)
    return to_bytes(
        VoiceFile(header, {}, tuple(build.tensors), frame_program, program, match=after)
    )


def _subscale(
    build: _Builder, frame: Vector, upsampled: list[Vector], future: int | None
) -> tuple[int, Vector, Vector]:
    """Sub-tensors: frames that the first is ahead of the last, what lanes get and what they see."""
    conditions, most = frame
    if upsampled and build.chance(0.7):
        conditions, most = upsampled[-1]
    size = build.pick(1, most)
    if future is None:
        future = build.pick(0, 4)
    subscale = Subscale(build.sub_tensors, future, build.pick(0, 3), conditions, Operand(0), size)
    out = build.take(subscale.window, build.pick(0, subscale.window))
    subscale = replace(subscale, out=out[0])
    build.program.append(subscale)
    places = build.rows * build.steps_per_row
    return -(-subscale.lag // places), (conditions, size), out


def _match(build: _Builder, n_features: int, hop: int) -> Match:
    """A match of any shape and numbers that keep samples within their range, more or less."""
    n = 16 << build.pick(0, 3)
    size = 2 * build.pick(1, n // 2)
    angles = 2 * np.pi * np.arange(n // 2) / n
    twiddles = np.concatenate([np.cos(angles), np.sin(angles)])
    synthesis = build.rng.random(size) * min(hop / size, 1)
    bands = np.abs(build.numbers(n_features, n // 2 + 1))
    spread = build.rng.random((n // 2 + 1, n_features)) / n_features
    layouts = ["dense", *blocks.BLOCKS]
    return Match(
        build.tensor(build.rng.random(size), "vector", "float32"),
        build.tensor(synthesis, "vector", "float32"),
        build.tensor(twiddles, "vector", "float32"),
        build.tensor(bands, str(build.rng.choice(layouts)), build.dtype()),
        build.tensor(spread, str(build.rng.choice(layouts)), build.dtype()),
        power=build.pick(1, 2),
        iterations=build.pick(1, 5),
        scale=float(np.float32(build.rng.normal(0, 1))),
        offset=float(np.float32(build.rng.normal(0, 1))),
        floor=1.0,
        strength=float(np.float32(build.rng.uniform(0, 2))),
        limit=float(np.float32(build.rng.uniform(0, 1))),
        momentum=float(np.float32(build.rng.uniform(0, 0.9))) if build.chance(0.5) else 0.0,
        rounds=build.pick(0, 3),
    )


def _excitation(build: _Builder, values: list[Vector]) -> tuple[Vector, Vector]:
    """Pitch and harmonics of two frames."""
    pitch = build.pitch(values[-1]) if build.chance(0.8) else (values[-1][0], 2)
    parts = build.harmonics(pitch)
    windows = []
    for source, size in (pitch, parts):
        out = build.take(2 * size)
        build.program.append(History(size, 2, None, source, out[0]))
        windows.append(out)
    return windows[0], windows[1]


def _values(build: _Builder, excitation: tuple[Vector, Vector], others: list[Vector]) -> int:
    """The sample program of a source and a filter; the number of slots."""
    n, order = build.samples_per_step, build.pick(1, min(64, others[-1][1]))
    (pitch, _), (parts, size) = excitation
    out, state, turn, past = (build.take(floats) for floats in (n, 1, 1, order))
    word = build.pick(0, 9)
    build.program.append(Source(size // 4, n, word, pitch, out[0], parts, turn[0]))
    values = [*others, past, state, turn, out]
    for _ in range(build.pick(0, 3)):
        values.append(build.mix(values))
    excited = values[-1] if values[-1][1] >= n else build.linear(values[-1], n)
    gain = others[build.pick(0, len(others) - 1)][0]
    emphasis = float(np.float32(build.rng.uniform(-0.9, 0.9)))
    build.program.append(
        AllPole(order, n, excited[0], state[0], others[-1][0], gain, past[0], emphasis)
    )
    return 0


def _bands(build: _Builder, levels: int, values: list[Vector]) -> int:
    """The sample program of a mixture of logistics; the number of slots."""
    pick, n = build.pick, 1 << levels
    mixtures = pick(1, 20)
    drawn = build.take(n)
    coefficients = 2 * pick(1, 4) if levels else 0
    filters = None
    if levels:
        filters = build.tensor(build.rng.random(coefficients), "vector", "float32")
    state = build.take(sub_bands_state_size(levels, coefficients))
    values = [*values, drawn, state]  # the state shows its last bits
    values = [values[i] for i in build.rng.permutation(len(values))]
    for _ in range(pick(1, 4)):
        values.append(build.mix(values))
    logits, means, scales = (
        build.linear(values[-1], n * mixtures, build.linear(drawn, n * mixtures))[0]
        for _ in range(3)
    )
    steps = 32768.0 / pick(1, 128) if build.chance(0.5) else 0.0
    classes = 65536 if steps else pick(2, 65536)
    least, word = (float(np.float32(x)) for x in (build.rng.normal(-5, 3), pick(0, 9)))
    build.program += [
        Logistics(
            mixtures,
            n,
            pick(0, 1),
            logits,
            drawn[0],
            means,
            scales,
            least,
            int(word),
            float(np.float32(steps)),
            classes,
        ),
        SubBands(
            levels, filters, drawn[0], state[0], float(np.float32(build.rng.uniform(-0.9, 0.9)))
        ),
    ]
    return 0


def _prediction(build: _Builder, values: list[Vector]) -> tuple[Vector, Vector]:
    """A prediction with any values for coefficients and gain: what it gives, and the past."""
    order = build.pick(1, min(64, values[-1][1]))
    out, past = build.take(4), build.take(order)
    least = float(np.float32(build.rng.uniform(1e-6, 1)))
    gain = values[build.pick(0, len(values) - 1)][0]
    build.program.append(Predict(order, values[-1][0], out[0], gain, past[0], least))
    return out, past


def _tokens(build: _Builder, features: Vector, others: list[Vector]) -> int:
    """The sample program of one or two draws; the number of slots."""
    pick = build.pick
    dual = build.chance(0.5)
    excitation = not dual and build.sub_tensors == 1 and build.chance(0.5)
    classes = [pick(1, 200), pick(1, 256)] if dual else [pick(1, 600)]
    drawn = [build.take(1) for _ in classes]
    expanded = build.take(1)  # the state of the output: logits that depend on it show its last bit
    values = [features, *others, *drawn]
    predicted, past = _prediction(build, values) if excitation else ((Operand(0), 0),) * 2
    if excitation:
        values += [predicted, past]
    for slot, n in enumerate(classes):
        previous = build.linear(expanded, pick(1, 40))
        size = pick(1, 40)
        table = build.tensor(build.numbers(n, size), "table", build.dtype())
        row = build.take(size)
        build.program.append(Embedding(table, slot, row[0]))
        values += [row, previous]
        values = [values[i] for i in build.rng.permutation(len(values))]
        for _ in range(pick(1, 4)):
            values.append(build.mix(values))
        part = build.linear(previous, n)
        logits = build.linear(values[-1], n, part)
        scale, offset, initial = (float(x) for x in build.numbers(3).astype(np.float32))
        build.program.append(
            Draw(
                n,
                slot,
                pick(0, n - 1),
                logits[0],
                drawn[slot][0],
                scale / n,
                offset,
                initial,
                pick(0, 9),
            )
        )
    mu = 255.0
    build.program.append(
        Output(
            high=0,
            low=1 if dual else None,
            companding=2 if excitation else pick(0, 1),
            predicted=predicted[0],
            past=past[0],
            state=expanded[0],
            scale=float(np.float32(2 / (256 * classes[0] if dual else classes[0]))),
            offset=-1.0,
            mu=mu,
            log1p_mu=float(np.float32(np.log(1 + mu))),
            inverse_mu=float(np.float32(1 / mu)),
            pre_emphasis=float(np.float32(build.rng.uniform(-0.9, 0.9))),
        )
    )
    return len(classes)
