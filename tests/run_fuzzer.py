"""Fuzz the loader and the engine: `python tests/run_fuzzer.py SECONDS`.

Findings and the corpus stay in build/fuzz.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from excitation_voices import excitation_voice
from logistic_voices import logistic_voice
from native import build
from varied_voices import SINGLE, varied_voices, with_match
from voices import SUBSCALE, tiny_voice

MOST = 16384 + 512  # bytes of a file: a large one says no more, and takes longer


def small_voices() -> dict[str, bytes]:
    """Voices of a few thousand bytes, of which most describe and few are weights."""
    config: dict[str, Any] = {"features": {"n_mels": 2, "hop_length": 4}}
    single = {**config, "signal": {"bits": 4}}
    shape: dict[str, Any] = {"head": 4, "channels": 2, "kernels": (3,)}
    return {
        "small-dual": tiny_voice(8, "4x4", config=config, **shape),
        "small-scalar": tiny_voice(8, "1x4", "float32", 2, SINGLE, single, window=3, **shape),
        "small-embedding": tiny_voice(
            8, "1x16", "bfloat16", 3, SINGLE, single, embedding=3, **shape
        ),
        "small-subscale": tiny_voice(
            8, "4x4", seed=4, architecture=SUBSCALE, config=config, look=4, **shape
        ),
        "small-logistics": logistic_voice(0, 2, hidden=4),
        "small-bands": logistic_voice(2, 1, hidden=4),
        "small-matched": with_match(logistic_voice(2, 1, hidden=4), 2),
        "small-excitation": excitation_voice(hidden=4),
    }


def main() -> int:
    folder = build("fuzz")
    corpus, seed_folder = folder / "corpus", folder / "seeds"
    for path in (corpus, seed_folder):
        path.mkdir(exist_ok=True)
    for name, data in {**varied_voices(), **small_voices()}.items():
        if len(data) <= MOST:
            (seed_folder / name).write_bytes(data)
    command = [
        str(folder / "fuzz" / "fuzz_model"),
        f"-max_total_time={sys.argv[1]}",
        f"-max_len={MOST}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
        str(corpus),
        str(seed_folder),
    ]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
