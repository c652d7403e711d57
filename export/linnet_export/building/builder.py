"""Building a voice: plans the arena and emits operations, checking every shape on the way."""

from __future__ import annotations

from linnet_export.building.drawing import Drawing
from linnet_export.building.layers import Layers


class Builder(Layers, Drawing):
    """All that the families build voices with."""
