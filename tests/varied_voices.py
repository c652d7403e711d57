"""Small voices that between them use every operation, layout and type of the format."""

from __future__ import annotations

import functools
from dataclasses import replace

from excitation_voices import excitation_voice
from linnet.format.reading import read
from linnet_export.matching import matched
from linnet_export.writing.writer import to_bytes
from logistic_voices import logistic_voice
from source_filter_voices import source_filter_voice
from voices import SUBSCALE, tiny_config, tiny_voice

SINGLE = "wavernn-softmax"
OFFSET = 7.0  # of a logarithm


@functools.cache
def varied_voices() -> dict[str, bytes]:
    """Files by name; each has 10 features per frame and 20 samples per frame."""
    return {
        "dual-4x4-fp16": tiny_voice(),
        "dual-16x1-bf16": tiny_voice(block="16x1", dtype="bfloat16", seed=1),
        "scalar-1x4-fp32": tiny_voice(16, "1x4", "float32", 2, SINGLE, window=3),
        "embedding-1x16-fp16": tiny_voice(16, "1x16", "float16", 3, SINGLE, embedding=5),
        "dense-fp16": tiny_voice(16, None, "float16", 4),
        "dual-4x4-int8": tiny_voice(dtype="int8", seed=10),
        "dense-int8": tiny_voice(18, None, "int8", 11),
        "embedding-8x4-int8": tiny_voice(16, "8x4", "int8", 12, SINGLE, embedding=5),
        "logistics-4x4-fp32": logistic_voice(0, dtype="float32", seed=5),
        "bands-4x4-fp16": logistic_voice(2, seed=6),
        "excitation-4x4-fp16": excitation_voice(seed=7),
        "source-filter-4x4-fp16": source_filter_voice(seed=10),
        "subscale-4x4-fp16": tiny_voice(seed=13, architecture=SUBSCALE),
        "subscale-1x16-int8": tiny_voice(
            block="1x16",
            dtype="int8",
            seed=14,
            architecture=SUBSCALE,
            config={"network": {"sub_tensors": 10, "future": 0, "past": 0}},
        ),
        "matched-once": with_match(tiny_voice(seed=8), 1),
        "matched-thrice": with_match(logistic_voice(2, seed=9), 3),
        "matched-subscale": with_match(tiny_voice(seed=15, architecture=SUBSCALE), 2),
    }


def with_match(voice: bytes, iterations: int) -> bytes:
    """The voice, with samples that are matched to log-mel features. Of these, numbers of order 1
    stand for sounds well within the range of samples."""
    file = read(voice)
    features = {**tiny_config()["features"], "scale": 1.0, "offset": OFFSET}
    return to_bytes(
        matched(replace(file, metadata={**file.metadata, "features": features}), iterations)
    )
