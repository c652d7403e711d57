"""The operations of a voice's programs (FORMAT.md, "Programs").

Each operation is a frozen dataclass that says all that its readers ask: which word holds which
field, how many floats an operand has, which tensors it reads, what it costs. Offsets, strides and
sizes are counted in floats of the arena; tensors are indices into the directory, their fields named
by `tensors`; slots are numbers of token slots.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

from linnet.format.blocks import ceil_div
from linnet.format.tensor import Tensor

NONE = 0xFFFFFFFF

ACTIVATIONS = ("none", "relu", "tanh", "sigmoid", "exp")
COMPANDINGS = ("linear", "mu-law", "excitation")
SCALE_ACTIVATIONS = ("exp", "softplus")
MOST_ITERATIONS = 16  # over a frame, and rounds of them
MOST_TRANSFORM = 16384


class Operand(NamedTuple):
    """Floats of the arena from offset + stride * i; i is the row's number within its frame."""

    offset: int
    stride: int = 0


def _word(at: int, kind: str = "u32", **default: Any) -> Any:
    return field(metadata={"word": at, "kind": kind}, **default)


def _operand(at: int, floats: str, kind: str = "operand", **default: Any) -> Any:
    """An operand of two words; floats: its size, a product as `Operation.floats` reads it."""
    return field(metadata={"word": at, "kind": kind, "floats": floats}, **default)


Tensors = Mapping[str, Tensor]  # by the field that holds the tensor's index


@dataclass(frozen=True)
class Operation:
    """One operation. `rows` of a frame are as many as an upsampling makes."""

    number: ClassVar[int]
    tensors: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """As the core calls it, such as "step_up"."""
        return re.sub(r"\B(?=[A-Z])", "_", type(self).__name__).lower()

    def multiply_adds(self, tensors: Tensors) -> int:
        """Of one run, without activations and draws."""
        return 0

    def label(self, tensors: Tensors) -> str:
        """What it works on, for people: its size, or its matrix."""
        return ""

    def operands(self, tensors: Tensors, rows: int) -> Iterator[tuple[str, Operand, int]]:
        """Each operand's name, its place, and its floats in one row."""
        for f in fields(self):
            operand = getattr(self, f.name)
            if "floats" not in f.metadata or operand is None:
                continue
            floats = self.floats(f.metadata["floats"], tensors)
            if f.metadata["kind"] == "row operand":
                floats, operand = (rows - 1) * operand.stride + floats, Operand(operand.offset)
            if floats:
                yield f.name, operand, floats

    def floats(self, product: str, tensors: Tensors) -> int:
        """A product of numbers, fields and properties of the operation, and rows, columns or padded
        columns of its tensors, such as "3 * units" and "weights.padded"."""
        return math.prod(self._factor(factor, tensors) for factor in product.split(" * "))

    def _factor(self, factor: str, tensors: Tensors) -> int:
        if factor.isdecimal():
            return int(factor)
        name, _, side = factor.partition(".")
        if not side:
            return int(getattr(self, name))
        rows, cols = tensors[name].shape
        return {"rows": rows, "cols": cols, "padded": tensors[name].packed.padded_cols}[side]


def sub_bands_state_size(levels: int, coefficients: int) -> int:
    """Floats of a SubBands' state: of the de-emphasis, and of two filters per merging of bands."""
    return 1 + ((1 << levels) - 1) * (coefficients + 2)


@dataclass(frozen=True)
class Linear(Operation):
    """out = activation((W in + bias) + add)."""

    number: ClassVar[int] = 1
    tensors: ClassVar[tuple[str, ...]] = ("weights", "bias")
    weights: int = _word(1)
    bias: int | None = _word(2, "optional")
    activation: int = _word(3)
    input: Operand = _operand(4, "weights.padded")
    out: Operand = _operand(6, "weights.rows")
    add: Operand | None = _operand(8, "weights.rows", "optional operand", default=None)

    def multiply_adds(self, tensors: Tensors) -> int:
        return tensors["weights"].packed.stored_weights

    def label(self, tensors: Tensors) -> str:
        rows, cols = tensors["weights"].shape
        return f"{tensors['weights'].name} {rows} x {cols} {tensors['weights'].layout}"


@dataclass(frozen=True)
class Gates(Operation):
    """A GRU step; recurrent and input hold update, reset and candidate sums, `units` of each."""

    number: ClassVar[int] = 2
    units: int = _word(1)
    recurrent: Operand = _operand(4, "3 * units")
    state: Operand = _operand(6, "units")
    input: Operand = _operand(8, "3 * units")

    def multiply_adds(self, tensors: Tensors) -> int:
        return 2 * self.units

    def label(self, tensors: Tensors) -> str:
        return str(self.units)


@dataclass(frozen=True)
class History(Operation):
    """out (frames x size, oldest first) moves up by one frame; `input` becomes the newest."""

    number: ClassVar[int] = 3
    tensors: ClassVar[tuple[str, ...]] = ("initial",)
    size: int = _word(1)
    frames: int = _word(2)
    initial: int | None = _word(3, "optional")
    input: Operand = _operand(4, "size")
    out: Operand = _operand(6, "size * frames")

    def label(self, tensors: Tensors) -> str:
        return str(self.size)


@dataclass(frozen=True)
class Upsample(Operation):
    """out = weights (rows x window) times in (window x channels); rows out.stride apart."""

    number: ClassVar[int] = 4
    tensors: ClassVar[tuple[str, ...]] = ("weights",)
    weights: int = _word(1)
    channels: int = _word(2)
    window: int = _word(3)
    input: Operand = _operand(4, "window * channels")
    out: Operand = _operand(6, "channels", "row operand")

    def multiply_adds(self, tensors: Tensors) -> int:
        return tensors["weights"].shape[0] * self.channels

    def label(self, tensors: Tensors) -> str:
        return str(self.channels)


@dataclass(frozen=True)
class Add(Operation):
    """out = activation(in + add)."""

    number: ClassVar[int] = 5
    size: int = _word(1)
    activation: int = _word(3)
    input: Operand = _operand(4, "size")
    out: Operand = _operand(6, "size")
    add: Operand = _operand(8, "size")

    def label(self, tensors: Tensors) -> str:
        return str(self.size)


@dataclass(frozen=True)
class Embedding(Operation):
    """out = the table's row of the slot's token."""

    number: ClassVar[int] = 6
    tensors: ClassVar[tuple[str, ...]] = ("table",)
    table: int = _word(1)
    slot: int = _word(2)
    out: Operand = _operand(6, "table.cols")

    def label(self, tensors: Tensors) -> str:
        return tensors["table"].name


@dataclass(frozen=True)
class Draw(Operation):
    """A sample from softmax(input / temperature): slot = token, out = fma(token, scale, offset)."""

    number: ClassVar[int] = 7
    classes: int = _word(1)
    slot: int = _word(2)
    initial_token: int = _word(3)
    input: Operand = _operand(4, "classes")
    out: Operand = _operand(6, "1")
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    initial_value: float = _word(10, "f32")
    random_word: int = _word(11)

    def label(self, tensors: Tensors) -> str:
        return str(self.classes)


@dataclass(frozen=True)
class Output(Operation):
    """The sample: token(s) -> companded value -> expanded -> de-emphasised -> 16 bits.

    An excitation is expanded, multiplied by the gain and added to the prediction (`predicted`: both
    of them) to give a sample, which goes to `past`.
    """

    number: ClassVar[int] = 8
    high: int = _word(1)
    low: int | None = _word(2, "optional")
    companding: int = _word(3)
    state: Operand = _operand(6, "1")
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    mu: float = _word(10, "f32")
    log1p_mu: float = _word(11, "f32")
    inverse_mu: float = _word(12, "f32")
    pre_emphasis: float = _word(13, "f32")
    predicted: Operand = _operand(4, "2 * excites", default=Operand(0))
    past: Operand = _operand(14, "excites", default=Operand(0))

    @property
    def excites(self) -> bool:
        """Whether the tokens are of an excitation."""
        return COMPANDINGS[self.companding] == "excitation"


@dataclass(frozen=True)
class Logistics(Operation):
    """out (bands) = values drawn from mixtures of logistics; parameters (bands x mixtures)."""

    number: ClassVar[int] = 9
    mixtures: int = _word(1)
    bands: int = _word(2)
    scale_activation: int = _word(3)
    input: Operand = _operand(4, "bands * mixtures")
    out: Operand = _operand(6, "bands")
    means: Operand = _operand(8, "bands * mixtures")
    scales: Operand = _operand(10, "bands * mixtures")
    least_scale: float = _word(12, "f32")
    random_word: int = _word(13)
    values_per_unit: float = _word(14, "f32")
    classes: int = _word(15)

    def label(self, tensors: Tensors) -> str:
        return f"{self.bands} x {self.mixtures}"


@dataclass(frozen=True)
class SubBands(Operation):
    """The samples of a step: bands merged two by two, de-emphasised, 16 bits."""

    number: ClassVar[int] = 10
    tensors: ClassVar[tuple[str, ...]] = ("weights",)
    levels: int = _word(1)
    weights: int | None = _word(2, "optional")
    input: Operand = _operand(4, "bands")
    state: Operand = _operand(6, "state_size")
    pre_emphasis: float = _word(13, "f32")

    @property
    def bands(self) -> int:
        return int(1 << self.levels)

    def multiply_adds(self, tensors: Tensors) -> int:
        # Every level merges all bands in pairs, of which each passes half of the coefficients.
        return self.levels * self.bands * self._coefficients(tensors) // 2

    def _factor(self, factor: str, tensors: Tensors) -> int:
        if factor == "state_size":
            return sub_bands_state_size(self.levels, self._coefficients(tensors))
        return super()._factor(factor, tensors)

    def _coefficients(self, tensors: Tensors) -> int:
        return tensors["weights"].shape[0] if "weights" in tensors else 0


@dataclass(frozen=True)
class StepUp(Operation):
    """out (order) = the prediction coefficients of reflection coefficients."""

    number: ClassVar[int] = 11
    order: int = _word(1)
    input: Operand = _operand(4, "order")
    out: Operand = _operand(6, "order")


@dataclass(frozen=True)
class Predict(Operation):
    """out (4) = prediction, gain, roots of the prediction and of the last sample in gains."""

    number: ClassVar[int] = 12
    order: int = _word(1)
    input: Operand = _operand(4, "order")
    out: Operand = _operand(6, "4")
    gain: Operand = _operand(8, "1")
    past: Operand = _operand(10, "order")
    least_gain: float = _word(12, "f32")


@dataclass(frozen=True)
class Match(Operation):
    """Brings the bands of every frame of the samples to its features, in several iterations.

    It runs after the sample program.
    """

    number: ClassVar[int] = 13
    tensors: ClassVar[tuple[str, ...]] = ("window", "synthesis", "twiddles", "to_bands", "to_bins")
    window: int = _word(1)
    synthesis: int = _word(2)
    twiddles: int = _word(3)
    to_bands: int = _word(4)
    to_bins: int = _word(5)
    power: int = _word(6)
    iterations: int = _word(7)
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    floor: float = _word(10, "f32")
    strength: float = _word(11, "f32")
    limit: float = _word(12, "f32")
    momentum: float = _word(13, "f32", default=0.0)
    rounds: int = _word(14, default=0)  # of all iterations of a hop; 0 counts as 1

    def multiply_adds(self, tensors: Tensors) -> int:
        (window, _), (n, _) = tensors["window"].shape, tensors["twiddles"].shape
        # An iteration takes windows, two transforms of n / 4 log2(n) complex products, gains.
        transforms = 2 * n * (n.bit_length() - 1)
        products = (tensors[name].packed.stored_weights for name in ("to_bands", "to_bins"))
        gains = n + sum(products)
        return max(self.rounds, 1) * self.iterations * (2 * window + transforms + gains)

    def label(self, tensors: Tensors) -> str:
        return f"{max(self.rounds, 1) * self.iterations} x {tensors['twiddles'].shape[0]}"


@dataclass(frozen=True)
class Pitch(Operation):
    """out (2) = the pitch in cycles a sample, and 1 where voiced, from logits of its bins."""

    number: ClassVar[int] = 14
    tensors: ClassVar[tuple[str, ...]] = ("centres",)
    bins: int = _word(1)
    centres: int = _word(2)
    reach: int = _word(3)
    input: Operand = _operand(4, "bins")
    out: Operand = _operand(6, "2")
    voicing: Operand = _operand(8, "1")

    def label(self, tensors: Tensors) -> str:
        return str(self.bins)


@dataclass(frozen=True)
class Levinson(Operation):
    """Rows of coefficients (lags - 1) and gain of an all-pole filter, from autocorrelations."""

    number: ClassVar[int] = 15
    lags: int = _word(1)
    input: Operand = _operand(4, "lags", "row operand")
    out: Operand = _operand(6, "lags", "row operand")
    power: float = _word(12, "f32")
    least_gain: float = _word(13, "f32")

    def label(self, tensors: Tensors) -> str:
        return str(self.lags - 1)


@dataclass(frozen=True)
class Harmonics(Operation):
    """out (2 x most) = the cosine and sine parts of the harmonics of a pitch (2)."""

    number: ClassVar[int] = 16
    tensors: ClassVar[tuple[str, ...]] = ("phases",)
    most: int = _word(1)
    phases: int = _word(2)
    input: Operand = _operand(4, "2")
    out: Operand = _operand(6, "2 * most")
    top: float = _word(12, "f32")
    per_cycle: float = _word(13, "f32")

    def label(self, tensors: Tensors) -> str:
        return str(self.most)


@dataclass(frozen=True)
class Source(Operation):
    """out (samples) = harmonics and noise, between a frame and the next."""

    number: ClassVar[int] = 17
    most: int = _word(1)
    samples: int = _word(2)
    random_word: int = _word(3)
    pitch: Operand = _operand(4, "4")
    out: Operand = _operand(6, "samples")
    parts: Operand = _operand(8, "4 * most")
    state: Operand = _operand(10, "1")

    def multiply_adds(self, tensors: Tensors) -> int:
        return 8 * self.most * self.samples

    def label(self, tensors: Tensors) -> str:
        return str(self.most)


@dataclass(frozen=True)
class AllPole(Operation):
    """The samples of a step: an excitation filtered, de-emphasised, 16 bits."""

    number: ClassVar[int] = 18
    order: int = _word(1)
    samples: int = _word(2)
    input: Operand = _operand(4, "samples")
    state: Operand = _operand(6, "1")
    coefficients: Operand = _operand(8, "order")
    gain: Operand = _operand(10, "1")
    past: Operand = _operand(12, "order")
    pre_emphasis: float = _word(14, "f32")

    def multiply_adds(self, tensors: Tensors) -> int:
        return self.order * self.samples

    def label(self, tensors: Tensors) -> str:
        return str(self.order)


@dataclass(frozen=True)
class Subscale(Operation):
    """out = what a sub-tensor sees of those before it, nearest first, and which one it is.

    The sample program runs once for each of `sub_tensors`, in lanes; `size` floats of each row of
    `conditions` are what a frame gives to its lanes.
    """

    number: ClassVar[int] = 19
    sub_tensors: int = _word(1)
    future: int = _word(2)
    past: int = _word(3)
    conditions: Operand = _operand(4, "size")
    out: Operand = _operand(6, "window")
    size: int = _word(8)

    @property
    def window(self) -> int:
        """Floats of `out`."""
        b = self.sub_tensors
        return (b - 1) * (self.past + self.future + 1) + b

    @property
    def lag(self) -> int:
        """Places of the last sub-tensor behind the first."""
        return (self.sub_tensors - 1) * (self.future + 1)

    @property
    def lead(self) -> int:
        """The same in samples."""
        return self.lag * self.sub_tensors

    def frames_ahead(self, hop_length: int) -> int:
        """The same in whole frames."""
        return ceil_div(self.lead, hop_length)

    def label(self, tensors: Tensors) -> str:
        return f"{self.sub_tensors}, {self.future} ahead"
