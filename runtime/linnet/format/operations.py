"""The operations of a voice's programs, and their bytes in the file (FORMAT.md, "Programs").

Each operation is a frozen dataclass whose fields are named after FORMAT.md's table. Offsets,
strides and sizes are counted in floats of the arena; tensors are indices into the directory, their
fields named by `tensors`; slots are numbers of token slots.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, get_args

NONE = 0xFFFFFFFF
N_WORDS = 16
OPERATION_SIZE = 4 * N_WORDS

ACTIVATIONS = ("none", "relu", "tanh", "sigmoid", "exp")
COMPANDINGS = ("linear", "mu-law", "excitation")
MOST_ORDER = 64  # of a prediction
MOST_VISITS = 16  # of a frame
MOST_TRANSFORM = 16384
SPREADS = ("exp", "softplus")


class Operand(NamedTuple):
    """Floats of the arena from offset + stride * i; i is the row's number within its frame."""

    offset: int
    stride: int = 0


def _word(at: int, kind: str = "u32", **default: Any) -> Any:
    return field(metadata={"word": at, "kind": kind}, **default)


@dataclass(frozen=True)
class Linear:
    """out = activation((W in + bias) + add)."""

    number: ClassVar[int] = 1
    tensors: ClassVar[tuple[str, ...]] = ("weights", "bias")
    weights: int = _word(1)
    bias: int | None = _word(2, "optional")
    activation: int = _word(3)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")
    add: Operand | None = _word(8, "optional operand", default=None)


@dataclass(frozen=True)
class Gates:
    """A GRU step; recurrent and input hold update, reset and candidate sums, `units` of each."""

    number: ClassVar[int] = 2
    tensors: ClassVar[tuple[str, ...]] = ()
    units: int = _word(1)
    recurrent: Operand = _word(4, "operand")
    state: Operand = _word(6, "operand")
    input: Operand = _word(8, "operand")


@dataclass(frozen=True)
class History:
    """out (frames x size, oldest first) moves up by one frame; `input` becomes the newest."""

    number: ClassVar[int] = 3
    tensors: ClassVar[tuple[str, ...]] = ("initial",)
    size: int = _word(1)
    frames: int = _word(2)
    initial: int | None = _word(3, "optional")
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")


@dataclass(frozen=True)
class Upsample:
    """out = weights (rows x window) times in (window x channels); rows out.stride apart."""

    number: ClassVar[int] = 4
    tensors: ClassVar[tuple[str, ...]] = ("weights",)
    weights: int = _word(1)
    channels: int = _word(2)
    window: int = _word(3)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")


@dataclass(frozen=True)
class Add:
    """out = activation(in + add)."""

    number: ClassVar[int] = 5
    tensors: ClassVar[tuple[str, ...]] = ()
    size: int = _word(1)
    activation: int = _word(3)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")
    add: Operand = _word(8, "operand")


@dataclass(frozen=True)
class Embedding:
    """out = the table's row of the slot's token."""

    number: ClassVar[int] = 6
    tensors: ClassVar[tuple[str, ...]] = ("table",)
    table: int = _word(1)
    slot: int = _word(2)
    out: Operand = _word(6, "operand")


@dataclass(frozen=True)
class Draw:
    """A sample from softmax(input / temperature): slot = token, out = fma(token, scale, offset)."""

    number: ClassVar[int] = 7
    tensors: ClassVar[tuple[str, ...]] = ()
    classes: int = _word(1)
    slot: int = _word(2)
    initial_token: int = _word(3)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    initial_value: float = _word(10, "f32")
    random_word: int = _word(11)


@dataclass(frozen=True)
class Output:
    """The sample: token(s) -> companded value -> expanded -> de-emphasised -> 16 bits.

    An excitation is expanded, multiplied by the gain and added to the prediction (`predicted`: both
    of them) to give a sample, which goes to `past`.
    """

    number: ClassVar[int] = 8
    tensors: ClassVar[tuple[str, ...]] = ()
    high: int = _word(1)
    low: int | None = _word(2, "optional")
    companding: int = _word(3)
    state: Operand = _word(6, "operand")
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    mu: float = _word(10, "f32")
    log_1_mu: float = _word(11, "f32")
    inverse_mu: float = _word(12, "f32")
    pre_emphasis: float = _word(13, "f32")
    predicted: Operand = _word(4, "operand", default=Operand(0))
    past: Operand = _word(14, "operand", default=Operand(0))


@dataclass(frozen=True)
class Logistics:
    """out (bands) = values drawn from mixtures of logistics; parameters (bands x mixtures)."""

    number: ClassVar[int] = 9
    tensors: ClassVar[tuple[str, ...]] = ()
    mixtures: int = _word(1)
    bands: int = _word(2)
    spread: int = _word(3)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")
    means: Operand = _word(8, "operand")
    scales: Operand = _word(10, "operand")
    least_scale: float = _word(12, "f32")
    random_word: int = _word(13)
    steps: float = _word(14, "f32")
    classes: int = _word(15)


@dataclass(frozen=True)
class Bands:
    """The samples of a step: bands merged two by two, de-emphasised, 16 bits."""

    number: ClassVar[int] = 10
    tensors: ClassVar[tuple[str, ...]] = ("weights",)
    levels: int = _word(1)
    weights: int | None = _word(2, "optional")
    input: Operand = _word(4, "operand")
    state: Operand = _word(6, "operand")
    pre_emphasis: float = _word(13, "f32")

    @property
    def bands(self) -> int:
        return int(1 << self.levels)


@dataclass(frozen=True)
class StepUp:
    """out (order) = the prediction coefficients of reflection coefficients."""

    number: ClassVar[int] = 11
    tensors: ClassVar[tuple[str, ...]] = ()
    order: int = _word(1)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")


@dataclass(frozen=True)
class Predict:
    """out (4) = prediction, gain, roots of the prediction and of the last sample in gains."""

    number: ClassVar[int] = 12
    tensors: ClassVar[tuple[str, ...]] = ()
    order: int = _word(1)
    input: Operand = _word(4, "operand")
    out: Operand = _word(6, "operand")
    gain: Operand = _word(8, "operand")
    past: Operand = _word(10, "operand")
    least_gain: float = _word(12, "f32")


@dataclass(frozen=True)
class Match:
    """What follows the samples: every frame's bands are brought to its features, `visits` times."""

    number: ClassVar[int] = 13
    tensors: ClassVar[tuple[str, ...]] = ("window", "synthesis", "turns", "bands", "spread")
    window: int = _word(1)
    synthesis: int = _word(2)
    turns: int = _word(3)
    bands: int = _word(4)
    spread: int = _word(5)
    power: int = _word(6)
    visits: int = _word(7)
    scale: float = _word(8, "f32")
    offset: float = _word(9, "f32")
    floor: float = _word(10, "f32")
    strength: float = _word(11, "f32")
    limit: float = _word(12, "f32")


def bands_state_size(levels: int, coefficients: int) -> int:
    """Floats of a Bands' state: of the de-emphasis, and of two filters per merging of bands."""
    return 1 + ((1 << levels) - 1) * (coefficients + 2)


Operation = (
    Linear
    | Gates
    | History
    | Upsample
    | Add
    | Embedding
    | Draw
    | Output
    | Logistics
    | Bands
    | StepUp
    | Predict
    | Match
)
_KINDS: dict[int, type[Operation]] = {kind.number: kind for kind in get_args(Operation)}


def encode(operation: Operation) -> bytes:
    """The operation's 64 bytes."""
    words = [0] * N_WORDS
    words[0] = operation.number
    for f in fields(operation):
        at, kind = f.metadata["word"], f.metadata["kind"]
        value = getattr(operation, f.name)
        if kind == "f32":
            words[at] = struct.unpack("<I", struct.pack("<f", value))[0]
        elif value is None:
            words[at] = NONE
        elif kind.endswith("operand"):
            words[at], words[at + 1] = value
        else:
            words[at] = value
    return struct.pack(f"<{N_WORDS}I", *words)


class OperationError(ValueError):
    """A word of an operation that means nothing; `word` is its number."""

    def __init__(self, word: int, message: str) -> None:
        super().__init__(message)
        self.word = word


def decode(data: bytes) -> Operation:
    """The operation in 64 bytes. Raises OperationError for an unknown number or stray word."""
    words = struct.unpack(f"<{N_WORDS}I", data)
    if words[0] not in _KINDS:
        raise OperationError(0, f"operation number {words[0]} is unknown to this version")
    kind = _KINDS[words[0]]
    values: dict[str, Any] = {}
    named = {0}
    for f in fields(kind):
        at, form = f.metadata["word"], f.metadata["kind"]
        named.add(at)
        if form == "f32":
            values[f.name] = struct.unpack("<f", struct.pack("<I", words[at]))[0]
        elif form == "optional operand" and words[at] == NONE:
            values[f.name] = None
        elif form.endswith("operand"):
            named.add(at + 1)
            values[f.name] = Operand(words[at], words[at + 1])
        elif form == "optional" and words[at] == NONE:
            values[f.name] = None
        else:
            values[f.name] = words[at]
    for at, word in enumerate(words):
        if word and at not in named:
            raise OperationError(at, f"word {at} is {word}, not 0")
    return kind(**values)
