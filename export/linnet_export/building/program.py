"""The two programs of a voice under construction: the arena's plan, tensors, token slots."""

from __future__ import annotations

from typing import Any

from linnet.format.blocks import GROUP, Packed, ceil_div
from linnet.format.operations import Operation
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet_export.building.buffers import Buffer, Slot
from linnet_export.building.ranges import with_input_ranges
from linnet_export.building.tensors import Weights
from linnet_export.writing.storage import Storage


class Program:
    """Collects buffers, tensors and operations.

    Operations go to the frame program until `begin_samples`, then to the sample program.
    """

    def __init__(
        self,
        sample_rate: int,
        hop_length: int,
        n_features: int,
        storage: Storage,
        margin: tuple[int, int] = (0, 0),
        samples_per_step: int = 1,
        steps_per_row: int = 1,
    ) -> None:
        """margin: floats that stay zero before and behind the features of a frame.

        A frame has hop_length / samples_per_step steps, every steps_per_row of which see the same
        row of what the frame program makes for them.
        """
        per_row = samples_per_step * steps_per_row
        expect(
            hop_length % per_row == 0,
            f"rows of {per_row} samples do not divide a hop of {hop_length}",
        )
        self.samples_per_step = samples_per_step
        self.steps_per_row = steps_per_row
        self.n_rows = hop_length // per_row  # per frame
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.storage = storage
        self.lookahead = 0
        self.priming = 0
        self._silence: int | None = None
        self.temperature = 1.0
        self._floats = 0
        self._tensors: dict[str, Packed] = {}
        self.slots: list[Slot] = []
        self._frame: list[Operation] = []
        self._sample: list[Operation] = []
        self._operations = self._frame
        self.features_with_margin = self.buffer(margin[0] + n_features + margin[1])
        self.features = self.features_with_margin[margin[0] : margin[0] + n_features]

    def buffer(self, size: int) -> Buffer:
        """New floats, zero after a reset, at a multiple of 16.

        16 spare floats follow, because products read up to the next multiple of a block's columns,
        also from a slice.
        """
        buffer = Buffer(self._floats, size)
        self._floats += (ceil_div(size, GROUP) + 1) * GROUP
        return buffer

    def rows(self, size: int) -> Buffer:
        """New floats for each row of a frame: `size` of them."""
        stride = ceil_div(size, GROUP) * GROUP
        return Buffer(self.buffer(stride * self.n_rows).offset, size, stride)

    def slot(self, classes: int) -> Slot:
        """A new token slot."""
        self.slots.append(Slot(len(self.slots), classes))
        return self.slots[-1]

    def silence(self, features: Weights) -> None:
        """What a silent frame holds, such as those that priming and look-ahead run on."""
        expect(features.shape == (self.features.size,), "silence is no frame")
        self._silence = self.vector("silence", features)

    def begin_samples(self) -> None:
        """From here on operations go to the sample program."""
        self._operations = self._sample

    def emit(self, operation: Operation) -> None:
        """Append an operation to the program at hand."""
        self._operations.append(operation)

    def tensor(self, name: str, packed: Packed) -> int:
        """The index of a new tensor."""
        expect(name not in self._tensors, f"{name}: a second tensor of that name")
        self._tensors[name] = packed
        return len(self._tensors) - 1

    def vector(self, name: str, values: Weights) -> int:
        """The index of a new tensor of float32, such as a bias."""
        return self.tensor(name, self.storage.vector(name, values.reshape(-1)))

    def voice(self, metadata: dict[str, Any]) -> VoiceFile:
        """The finished description; metadata gains the temperature of the logits."""
        if self.temperature != 1:
            metadata["temperature"] = self.temperature
        header = Header(
            self.sample_rate,
            self.hop_length,
            self.features.size,
            self.lookahead,
            self.priming,
            self._floats,
            len(self.slots),
            self.features.offset,
            self.samples_per_step,
            self.steps_per_row,
            self._silence,
        )
        tensors = tuple(Tensor(name, packed) for name, packed in self._tensors.items())
        return with_input_ranges(
            VoiceFile(header, metadata, tensors, tuple(self._frame), tuple(self._sample))
        )


def expect(condition: bool, message: str) -> None:
    """Raise ValueError with the message where the condition does not hold."""
    if not condition:
        raise ValueError(message)
