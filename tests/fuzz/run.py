"""Fuzz the loader and the engine: `python tests/fuzz/run.py SECONDS`.

Findings and the corpus stay in build/fuzz.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from native import build  # noqa: E402
from varied_voices import varied_voices  # noqa: E402


def main() -> int:
    folder = build("fuzz")
    corpus, seed_folder = folder / "corpus", folder / "seeds"
    for path in (corpus, seed_folder):
        path.mkdir(exist_ok=True)
    for name, data in varied_voices().items():
        (seed_folder / name).write_bytes(data)
    command = [
        str(folder / "fuzz" / "fuzz_model"),
        f"-max_total_time={sys.argv[1]}",
        "-max_len=65536",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-use_value_profile=1",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
        str(corpus),
        str(seed_folder),
    ]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
