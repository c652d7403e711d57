"""How fast linnet is as WebAssembly: products and voices in node, voices on a page in Chromium.

`make bench-web`. Speeds are by the processor's time of the thread that makes the samples, medians
of TURNS, so that other work on the machine counts little.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

import browser
import build_page
import webassembly
from native import ROOT

FOLDER = ROOT / "build" / "web-bench"
SCRIPT = ROOT / "bench" / "web.mjs"
TURNS = 9
WARM = 3  # turns before, while Chromium compiles

OPEN = """async (name) => {
  const { Linnet } = await import("./linnet.js");
  const voice = await Linnet.open(`voices/${name}.linnet`);
  const clip = await (await fetch("voices/slt-heldout.wav")).arrayBuffer();
  const frames = voice.features(new Int16Array(clip, 44), 16000).subarray(0, 80 * voice.nFeatures);
  window.seconds = () => voice.synthesize(frames).length / voice.sampleRate;
  return voice.kernels[0];
}"""


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
            kernels, speeds = page.evaluate(OPEN, voice), sorted(_speeds(page))
            spread = f"{speeds[0]:.2f} to {speeds[-1]:.2f}"
            median = statistics.median(speeds)
            print(f"Chromium, {voice}, {kernels}: {median:.2f} x real time ({spread})", flush=True)


def _speeds(page: Page) -> Iterator[float]:
    for turn in range(WARM + TURNS):
        before = _times()
        seconds = page.evaluate("seconds()")
        busiest = max(time - before.get(process, 0) for process, time in _times().items())
        if turn >= WARM:
            yield seconds / (busiest / 1e9)


def _times() -> dict[int, int]:
    """The ns that the main thread of each of this browser's renderers has run."""
    parents, renderers = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            process = int(folder.name)
            parents[process] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                renderers.append(process)
        except OSError:  # it has ended
            continue
    found = {}
    for process in renderers:
        ancestor = process
        while ancestor not in (0, os.getpid()):
            ancestor = parents.get(ancestor, 0)
        if ancestor:
            schedule = Path(f"/proc/{process}/task/{process}/schedstat")
            found[process] = int(schedule.read_text().split()[0])
    return found


if __name__ == "__main__":
    main()
