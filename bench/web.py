"""How fast linnet is as WebAssembly: products and voices in node, voices on the page in Chromium.

`make bench-web`. Chromium's figures are the page's own: the median of TURNS.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess

import browser
import build_page
import webassembly
from native import ROOT

FOLDER = ROOT / "build" / "web-bench"
SCRIPT = ROOT / "bench" / "web.mjs"
TURNS = 9


def main() -> None:
    for name in build_page.BUILDS:
        webassembly.built(name)  # for node's answer whether it has relaxed SIMD
    (FOLDER / "voices").mkdir(parents=True, exist_ok=True)
    for name in build_page.MODULE:
        shutil.copy(build_page.WEB / name, FOLDER)
    for path in ("tiny.linnet", "slt.linnet", "slt-heldout.wav"):
        shutil.copy(ROOT / "voices" / path, FOLDER / "voices")
    for build in build_page.BUILDS:
        build_page.module(build, FOLDER, SCRIPT)
    command = webassembly.node("relaxed") or webassembly.node("simd128") or ["node"]
    subprocess.run([*command, str(SCRIPT), str(FOLDER)], check=True)
    if browser.program() is None:
        return
    with browser.opened(ROOT / "build" / "web") as (page, _):
        for voice in build_page.VOICES:
            speeds = []
            for _ in range(TURNS):
                figures = browser.vocode(page, voice, live=False)
                speeds.append(float(figures["speed"].split()[0]))
            spread = f"{statistics.median(speeds):.1f} x real time ({min(speeds)} to {max(speeds)})"
            print(f"Chromium, {voice}, {figures['kernels']}: {spread}", flush=True)


if __name__ == "__main__":
    main()
