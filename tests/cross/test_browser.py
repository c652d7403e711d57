"""The page in headless Chromium: it makes the samples of Python, and its worklet leaves no gap."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import linnet
from linnet.audio import read_wav
from native import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("playwright", reason="needs playwright (extra: browser)")
browser = pytest.importorskip("browser")
pytestmark = pytest.mark.skipif(browser.program() is None, reason="needs Chromium")

SITE = ROOT / "build" / "web"  # `make web`
WITH_ONE_VOICE = 1_500_000  # bytes that the page may have


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser.opened(SITE) as (page, wrong):
        yield page
        assert wrong == []


def samples_of(name: str, clip: str, seed: int) -> np.ndarray:
    voice = linnet.load(name)
    return voice.synthesize(voice.features(*read_wav(ROOT / "voices" / clip)), seed=seed)


def says(page: Page, pattern: str) -> None:
    """Wait until the page's status has a text."""
    page.wait_for_function(f"/{pattern}/.test(document.getElementById('status').textContent)")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("voice", "seed"), [("tiny", 0), ("slt", 2**53 - 1)])
def test_the_page_makes_the_samples_of_python(
    page: Page, voice: str, seed: int, live: bool
) -> None:
    figures = browser.vocode(page, voice, live, seed)
    pcm = samples_of(voice, "slt-heldout.wav", seed)
    assert figures["hash"] == hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()
    assert figures["gaps"] == "none"
    assert figures["used-seed"] == str(seed)
    ahead = linnet.load(voice).info()["lookahead_frames"] * 12.5  # ms of a frame
    assert figures["lookahead"] == f"{ahead:.1f} ms"
    assert figures["kernels"].startswith("wasm_")


def test_a_recording(page: Page) -> None:
    page.click("#record")
    page.wait_for_timeout(1500)
    page.click("#record")
    says(page, "^recording: \\d")
    figures = browser.vocode(page, "tiny", False)
    assert figures["status"].startswith("tiny made ") and len(figures["hash"]) == 64
    page.select_option("#clip", "voices/slt-heldout.wav")
    says(page, "^a synthetic")


def test_another_clip_and_a_file(page: Page, tmp_path: Path) -> None:
    page.select_option("#clip", "voices/human.wav")
    says(page, "^a person: 2\\.7 s")
    expected = hashlib.sha256(samples_of("tiny", "human.wav", 1).astype("<i2").tobytes())
    assert browser.vocode(page, "tiny", False, 1)["hash"] == expected.hexdigest()
    page.set_input_files("#file", ROOT / "voices" / "slt-heldout.wav")
    says(page, "^slt-heldout")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all")
    page.set_input_files("#file", noise)
    says(page, "decode")


def test_the_pictures_show_something(page: Page) -> None:
    page.select_option("#clip", "voices/slt-heldout.wav")
    says(page, "^a synthetic")
    browser.vocode(page, "slt", False)
    for name in ("original-wave", "original-spectrogram", "made-wave", "made-spectrogram"):
        data = page.evaluate(f"document.getElementById('{name}').toDataURL()").partition(",")[2]
        assert len(base64.b64decode(data)) > 2000  # a canvas of one colour has fewer bytes
    (ROOT / "out").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / "out" / "web.png")


# Frames come in pieces before the context starts, as they would from an acoustic model.
RENDER = """async ({ name, seed, frames, length }) => {
  const { Linnet } = await import("./linnet.js");
  const bytes = await (await fetch(`voices/${name}.linnet`)).arrayBuffer();
  const { sampleRate, nFeatures } = new Linnet(bytes, await Linnet.module());
  const context = new OfflineAudioContext(1, length, sampleRate);
  await context.audioWorklet.addModule("worklet.js");
  const processorOptions = { bytes, module: await Linnet.module(), seed };
  const node = new AudioWorkletNode(context, "linnet", { numberOfInputs: 0, processorOptions });
  node.connect(context.destination);
  let missing = 0;
  const finished = new Promise((resolve, reject) => {
    node.port.onmessage = ({ data }) => {
      if (data.error) reject(new Error(data.error));
      missing += data.missing;
      resolve();
    };
  });
  for (let at = 0; at < frames.length; at += 7 * nFeatures) {
    node.port.postMessage({ frames: Float32Array.from(frames.slice(at, at + 7 * nFeatures)) });
  }
  node.port.postMessage("finish");
  await finished;
  const rendered = (await context.startRendering()).getChannelData(0);
  return { missing, rendered: Array.from(rendered) };
}"""


@pytest.mark.parametrize("name", ["tiny", "slt"])
def test_the_worklet_leaves_no_gap(page: Page, name: str) -> None:
    voice = linnet.load(name)
    mel = voice.features(*read_wav(ROOT / "voices" / "slt-heldout.wav"))[:, 30:90]
    frames, pcm = mel.T.ravel().tolist(), voice.synthesize(mel, seed=5)
    length = len(pcm) + 200  # silence follows
    found = page.evaluate(RENDER, {"name": name, "seed": 5, "frames": frames, "length": length})
    assert found["missing"] == 0
    expected = np.pad(pcm / 32768, (0, 200)).astype(np.float32)
    assert np.array_equal(np.array(found["rendered"], np.float32), expected)


def test_the_page_is_small_with_one_voice() -> None:
    files = {path.relative_to(SITE).as_posix(): path for path in SITE.rglob("*") if path.is_file()}
    for left_out in ("voices/tiny.linnet", "voices/human.wav"):
        del files[left_out]
    assert sum(path.stat().st_size for path in files.values()) < WITH_ONE_VOICE
