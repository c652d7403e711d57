"""Measurements: products beside what else a user could pick, whole voices, and the limit of both.

Alternatives are timed in turn, round after round, so that a slow moment of the machine meets all of
them; each figure is the median of the rounds.
"""

from linnet_bench.machine import cpu_name
from linnet_bench.products import ProductTimes, random_matrix, time_products, voice_matrix
from linnet_bench.sample import VoiceTimes, profile, time_voice
from linnet_bench.timing import interleaved

__all__ = [
    "ProductTimes",
    "VoiceTimes",
    "cpu_name",
    "interleaved",
    "profile",
    "random_matrix",
    "time_products",
    "time_voice",
    "voice_matrix",
]
