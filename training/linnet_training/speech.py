"""A corpus of synthetic speech that anybody can rebuild: Debian's own texts read by flite.

    python -m linnet_training.speech data/slt/wavs --minutes 75

Needs the Debian packages `flite` and `fortunes`. The list of sentences depends only on the
installed texts: candidates are ordered by a hash of their words, so nothing depends on a random
generator or on the order of a directory. Writes 0001.wav, 0002.wav, ... (16 kHz int16) and
texts.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FORTUNES = Path("/usr/share/games/fortunes")
FORTUNE_FILES = (
    "art computers cookie definitions disclaimer education food fortunes goedel humorists kids "
    "law linux literature love magic medicine miscellaneous news paradoxum people pets platitudes "
    "pratchett riddles science songs-poems sports startrek tao wisdom work"
).split()
LICENCES = (Path("/usr/share/common-licenses"), "*"), (Path("/usr/share/doc"), "*/copyright")
MIN_SECONDS, MAX_SECONDS = 3.0, 14.0
# slt speaks about 15 characters per second; the exact length is checked after synthesis.
MIN_CHARACTERS, MAX_CHARACTERS = 48, 185
FRAGMENT = re.compile(r"[A-Z][A-Za-z ,;:'!?-]*[a-z][.!?]")
UNSUITABLE = re.compile(r"\b(sex|nigg|fuck|shit|bitch|rape|whore|damn|hell)", re.IGNORECASE)


def sentences(paragraph: str) -> list[str]:
    """Clean sentences of one paragraph, short neighbours joined; odd ones are dropped."""
    text = " ".join(paragraph.replace('"', " ").replace("`", "'").replace("--", ", ").split())
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    found: list[str] = []
    pending = ""
    for part in re.split(r"(?<=[a-z][.!?])\s+", text):
        shouted = sum(word.isupper() and len(word) > 1 for word in part.split())
        words = len(part.split())
        readable = FRAGMENT.fullmatch(part) and shouted * 4 <= words and len(part) < 8 * words
        if not readable or UNSUITABLE.search(part):
            pending = ""
            continue
        pending = f"{pending} {part}".strip()
        if len(pending) >= MIN_CHARACTERS:
            if len(pending) <= MAX_CHARACTERS:
                found.append(pending)
            pending = ""
    return found


def without_overlap(texts: list[str], words: int = 5) -> list[str]:
    """Drops a sentence that shares a run of `words` words with an earlier one.

    Licences quote each other: held-out sentences would be near copies of trained ones.
    """
    seen: set[tuple[str, ...]] = set()
    kept = []
    for text in texts:
        tokens = re.findall(r"[a-z']+", text.lower())
        runs = {tuple(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}
        if seen.isdisjoint(runs):
            kept.append(text)
            seen |= runs
    return kept


def candidates() -> list[str]:
    """All usable sentences: fortunes and licences alternate, each in the order of its hashes."""

    def ordered(paragraphs: list[str]) -> list[str]:
        unique = {re.sub(r"\W+", " ", s).lower(): s for p in paragraphs for s in sentences(p)}
        return [unique[k] for k in sorted(unique, key=lambda k: hashlib.sha1(k.encode()).digest())]

    def read(path: Path) -> str:
        return path.read_text(encoding="utf-8", errors="replace")

    fortunes = [
        paragraph
        for name in FORTUNE_FILES
        if (FORTUNES / name).is_file()
        for paragraph in re.split(r"\n%\n", read(FORTUNES / name))
    ]
    licences = [
        paragraph
        for folder, pattern in LICENCES
        for path in sorted(folder.glob(pattern))
        if path.is_file()
        for paragraph in re.split(r"\n\s*\.?\s*\n", read(path))
    ]
    first, second = ordered(fortunes), ordered(licences)
    both = [s for pair in zip(first, second, strict=False) for s in pair]
    return without_overlap(both + first[len(second) :] + second[len(first) :])


def speak(text: str, path: Path, voice: str) -> float:
    """Writes `text` as a wav file; returns its length in seconds (0 when flite fails)."""
    done = subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=False)
    if done.returncode != 0 or not path.is_file():
        return 0.0
    with wave.open(str(path)) as f:
        return float(f.getnframes() / f.getframerate())


def build(folder: Path, minutes: float, voice: str = "slt", jobs: int = 2, skip: int = 0) -> float:
    """Fills `folder` with about `minutes` of speech, of the sentences after the first `skip`;
    returns the seconds written."""
    folder.mkdir(parents=True, exist_ok=True)
    total, texts, queue = 0.0, dict[str, str](), candidates()[skip:]
    with ThreadPoolExecutor(jobs) as pool:
        for start in range(0, len(queue), 64):
            batch = queue[start : start + 64]
            paths = [folder / f"try-{start + i:05d}.wav" for i in range(len(batch))]
            lengths = pool.map(speak, batch, paths, [voice] * len(batch))
            for text, path, seconds in zip(batch, paths, lengths, strict=True):
                if not MIN_SECONDS <= seconds <= MAX_SECONDS or total >= minutes * 60:
                    path.unlink(missing_ok=True)
                    continue
                name = f"{len(texts) + 1:04d}.wav"
                path.replace(folder / name)
                texts[name] = text
                total += seconds
            if total >= minutes * 60:
                break
    (folder / "texts.json").write_text(json.dumps(texts, indent=1) + "\n")
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description="Reads Debian's texts aloud with flite.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--voice", default="slt")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skip", type=int, default=0, help="sentences to leave out, of the first")
    arguments = parser.parse_args()
    seconds = build(
        arguments.folder, arguments.minutes, arguments.voice, arguments.jobs, arguments.skip
    )
    print(f"{seconds / 60:.1f} minutes in {arguments.folder}")
    if seconds < arguments.minutes * 60:
        print("The installed texts give no more: install more of them, or ask for fewer minutes.")


if __name__ == "__main__":
    main()
