"""Corpora: the same samples whatever works on them, and nothing lost when something goes wrong."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from linnet.audio import read_wav
from linnet.bulk import Utterance, vocode
from linnet.bulk.utterances import find, shard
from linnet.cli import main
from voices import tiny_voice

VOICE = tiny_voice()


def mel(number: int, frames: int) -> Any:
    return np.random.default_rng(number).standard_normal((10, frames)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a voice, and a corpus of features in two folders."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voice.linnet").write_bytes(VOICE)
    make_corpus(tmp_path / "in", 12, 7)
    return tmp_path


def make_corpus(folder: Path, count: int, frames: int) -> None:
    for n in range(count):
        place = folder / f"speaker{n % 2}"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"u{n}.npy", mel(n, frames + n))


def hashes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.wav")}


def failures(path: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["name"]: row["error"] for row in rows}


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.name.endswith(".part")]


def test_each_file_has_the_samples_of_synthesize_with_its_names_seed(folder: Path) -> None:
    report = vocode("in", "voice.linnet", "out", jobs=2, seed=3, temperature=0.5)
    assert (report.made, report.skipped, report.failed) == (12, 0, {})
    voice = linnet.load(VOICE)
    for n in range(12):
        name = f"speaker{n % 2}/u{n}"
        samples, _ = read_wav(f"out/{name}.wav")
        seed = Utterance(name, "").seed(3)
        np.testing.assert_array_equal(samples, voice.synthesize(mel(n, 7 + n), seed, 0.5))
    assert report.audio_seconds == pytest.approx(sum(20 * (7 + n) / 16000 for n in range(12)))


def test_samples_depend_on_neither_workers_nor_batches_nor_parts(folder: Path) -> None:
    vocode("in", "voice.linnet", "one", jobs=1, batch=1)
    vocode("in", "voice.linnet", "many", jobs=3, batch=5)
    for part in (1, 2, 3):
        vocode("in", "voice.linnet", "parts", jobs=1, part=(part, 3))
    assert len(hashes(Path("one"))) == 12
    assert hashes(Path("one")) == hashes(Path("many")) == hashes(Path("parts"))


def test_seeds_differ_by_name_and_run() -> None:
    seeds = {Utterance(name, "").seed(run) for name in ("a", "b", "a/b") for run in (0, 1)}
    assert len(seeds) == 6
    assert Utterance("a", "x").seed(0) == Utterance("a", "y").seed(0) == 4180199910021036473


def test_a_corpus_may_be_a_folder_a_pattern_a_list_a_manifest_or_paths(folder: Path) -> None:
    expected = [f"speaker{n % 2}/u{n}" for n in range(12)]
    assert [u.name for u in find("in", "out")] == sorted(expected)
    assert [u.name for u in find("in/*/u1*.npy", "out")] == [
        "speaker0/u10",
        "speaker1/u1",
        "speaker1/u11",
    ]
    Path("list.txt").write_text("in/speaker0/u0.npy\n\nin/speaker1/u1.npy\n")
    assert [u.name for u in find("list.txt", "out")] == ["speaker0/u0", "speaker1/u1"]
    rows = [{"mel": "in/speaker0/u0.npy", "name": "x/first"}, {"path": "in/speaker1/u1.npy"}]
    Path("m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [u.name for u in find("m.jsonl", "out")] == ["speaker1/u1", "x/first"]
    paths = [Path("in/speaker0/u0.npy"), Path("in/speaker0/u2.npy")]
    assert [u.name for u in find(paths, "out")] == ["u0", "u2"]
    assert [u.name for u in find("in/speaker0/u0.npy", "out")] == ["u0"]


def test_a_parquet_manifest(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"name": ["one"], "mel": ["in/speaker0/u0.npy"]})
    parquet.write_table(table, "m.parquet")
    assert find("m.parquet", "out") == [Utterance("one", "in/speaker0/u0.npy")]
    Path("bad.parquet").write_text("no")
    with pytest.raises(ValueError, match="bad.parquet: not a Parquet file"):
        find("bad.parquet", "out")


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "m.jsonl, line 1: not JSON"),
        ("[" * 100_000, "m.jsonl, line 1: not JSON"),
        ("[]", "row 1: needs a path"),
        ('{"name": "x"}', "row 1: needs a path"),
        ('{"path": 3}', "row 1: needs a path"),
        ('{"path": "a.wav", "name": "../a"}', "row 1: name '../a' is not"),
        ('{"path": "a.wav", "name": "/a"}', "row 1: name '/a' is not"),
        ('{"path": "a.wav", "name": 3}', "row 1: name 3 is not"),
        ('{"path": "a.wav"}\n{"path": "a.flac"}', "a.flac and a.wav would both become a.wav"),
        ("", "m.jsonl: no utterance found"),
    ],
)
def test_bad_manifests_are_refused(folder: Path, text: str, message: str) -> None:
    Path("m.jsonl").write_text(text)
    with pytest.raises(ValueError) as error:
        find("m.jsonl", "out")
    assert message in str(error.value)


def test_the_outputs_are_no_inputs_of_the_next_run(folder: Path) -> None:
    assert main(["bulk", "voice.linnet", "in", "in/out", "--jobs", "1"]) == 0
    report = vocode("in", "voice.linnet", "in/out", jobs=1)
    assert (report.made, report.skipped) == (0, 12)
    assert len(find("in/**/*", "in/out")) == 12


def test_an_input_is_never_overwritten(folder: Path) -> None:
    recording = Path("in/speaker0/voice.wav")
    recording.write_bytes(b"mine")
    with pytest.raises(ValueError, match="voice.wav is an input itself"):
        vocode("in", "voice.linnet", "in")
    assert recording.read_bytes() == b"mine"


def test_an_input_is_not_overwritten_through_a_link(folder: Path) -> None:
    recording = Path("in/voice.wav")
    recording.write_bytes(b"mine")
    Path("link").symlink_to("in")
    with pytest.raises(ValueError, match="voice.wav is an input itself"):
        vocode("in", "voice.linnet", "link")
    assert recording.read_bytes() == b"mine"


def test_features_of_another_project_are_converted(folder: Path) -> None:
    Path("mels").mkdir()
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, 22050).astype(np.float32)
    other = linnet.features.log_mel(audio, 22050, linnet.features.PRESETS["hifigan-22k"])
    np.save("mels/a.npy", other)
    assert main(["bulk", "slt", "mels", "out", "--mel-from", "hifigan-22k", "--jobs", "1"]) == 0
    assert main(["synth", "slt", "mels/a.npy", "-o", "a.wav", "--mel-from", "hifigan-22k"]) == 0
    seed = Utterance("a", "").seed(0)
    voice = linnet.load("slt")
    expected = voice.synthesize(linnet.features.convert(other, "hifigan-22k", voice), seed)
    np.testing.assert_array_equal(read_wav("out/a.wav")[0], expected)
    with pytest.raises(ValueError, match="out was made with another mel_from"):
        vocode("mels", "slt", "out", jobs=1)


def test_strict_fails_only_the_features_that_are_not_the_voices(folder: Path) -> None:
    Path("mels").mkdir()
    voice = linnet.load("slt")
    good = voice.features(np.zeros(1600, np.float32), 16000)
    np.save("mels/good.npy", good)
    np.save("mels/far.npy", good + 1000)
    assert main(["bulk", "slt", "mels", "out", "--strict", "--jobs", "1"]) == 1
    assert list(failures(Path("out/errors.jsonl"))) == ["far"]
    assert list(hashes(Path("out"))) == ["good.wav"]


def test_a_stopped_run_goes_on_and_other_settings_are_refused(folder: Path) -> None:
    vocode("in", "voice.linnet", "out", jobs=1)
    expected = hashes(Path("out"))
    Path("out/speaker0/u4.wav").unlink()
    report = vocode("in", "voice.linnet", "out", jobs=1)
    assert (report.made, report.skipped) == (1, 11)
    assert hashes(Path("out")) == expected
    with pytest.raises(ValueError, match="out was made with another seed, temperature"):
        vocode("in", "voice.linnet", "out", seed=1, temperature=0.5)


def test_failures_are_told_and_the_others_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = mel(0, 5)
    bad[3, 2] = np.nan
    np.save("in/nan.npy", bad)
    np.save("in/shape.npy", mel(0, 5)[:7])
    Path("in/text.wav").write_text("no recording")
    Path("list.jsonl").write_text(
        "".join(json.dumps({"path": f"in/{p}"}) + "\n" for p in os.listdir("in") if "." in p)
        + '{"path": "in/gone.npy"}\n{"path": "in/speaker0/u0.npy"}\n'
    )
    assert main(["bulk", "voice.linnet", "list.jsonl", "out", "--jobs", "2"]) == 1
    printed = capsys.readouterr()
    assert "1 made" in printed.out and "4 failed" in printed.out
    assert "all are in" in printed.err and printed.err.count("linnet: ") == 1
    told = failures(Path("out/errors.jsonl"))
    assert set(told) == {"nan", "shape", "text", "gone"}
    assert "nan.npy" in told["nan"] and "finite" in told["nan"]
    assert "shape.npy" in told["shape"] and "gone.npy" in told["gone"]
    np.save("in/nan.npy", mel(0, 5))  # mended: the next run makes it, and forgets the error
    assert vocode("list.jsonl", "voice.linnet", "out", jobs=1).made == 1
    assert set(failures(Path("out/errors.jsonl"))) == {"shape", "text", "gone"}


def test_errors_vanish_with_the_last_one(folder: Path) -> None:
    Path("in/text.wav").write_text("no recording")
    assert set(vocode("in", "voice.linnet", "out", jobs=1).failed) == {"text"}
    Path("in/text.wav").unlink()
    assert vocode("in", "voice.linnet", "out", jobs=1).failed == {}
    assert Path("out/errors.jsonl").exists()  # what failed once is still not made
    np.save("in/text.npy", mel(0, 4))
    assert vocode("in", "voice.linnet", "out", jobs=1).made == 1
    assert not Path("out/errors.jsonl").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["in", "out", "--shard", "0/2"], "from 1/2 to 2/2"),
        (["in", "out", "--shard", "2"], "I/N"),
        (["in", "out", "--jobs", "0"], "at least 1"),
        (["nowhere", "out"], "nowhere"),
        (["empty", "out"], "empty: no utterance found"),
    ],
)
def test_bad_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("empty").mkdir()
    try:
        status = main(["bulk", "voice.linnet", *arguments])
    except SystemExit as error:
        status = int(str(error.code))
    assert status in (1, 2)
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_shards_are_the_corpus() -> None:
    utterances = [Utterance(f"u{n:02}", "") for n in range(11)]
    parts = [shard(utterances, number, 4) for number in range(1, 5)]
    assert sorted((u for part in parts for u in part), key=lambda u: u.name) == utterances
    assert max(map(len, parts)) - min(map(len, parts)) == 1


def start(*options: str) -> subprocess.Popen[str]:
    """`linnet bulk` on the corpus `long`, in a session of its own."""
    command = [sys.executable, "-m", "linnet.cli", "bulk", "voice.linnet", "long", "out", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(condition: Any, run: subprocess.Popen[str]) -> None:
    while not condition():
        assert run.poll() is None, run.stderr and run.stderr.read()
        time.sleep(0.01)


def workers_of(run: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in command_of(child)]


def command_of(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.fixture
def long(folder: Path) -> Iterator[dict[str, bytes]]:
    """A corpus that takes a few seconds, and what it is to become."""
    make_corpus(folder / "long", 24, 2000)
    vocode("long", "voice.linnet", "expected", jobs=2)
    yield hashes(folder / "expected")


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")


@needs_proc
def test_a_killed_worker_loses_nothing(folder: Path, long: dict[str, bytes]) -> None:
    run = start("--jobs", "2", "--batch", "2")
    wait_for(lambda: list(Path("out").rglob("*.wav")), run)
    os.kill(workers_of(run)[0], signal.SIGKILL)
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert "24 made" in out
    assert hashes(Path("out")) == long


@needs_proc
def test_an_utterance_that_kills_its_worker_twice_is_an_error(folder: Path) -> None:
    os.mkfifo("in/stuck.npy")  # the worker waits for a writer, and is killed while it does
    Path("long").symlink_to("in")
    run = start("--jobs", "1", "--batch", "1")
    killed: set[int] = set()
    wait_for(lambda: len(list(Path("out").rglob("*.wav"))) == 12, run)  # a FIFO has size 0
    while len(killed) < 2:
        for worker in set(workers_of(run)) - killed:
            time.sleep(0.5)
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
    out, _ = run.communicate()
    assert run.returncode == 1
    assert "12 made" in out
    assert failures(Path("out/errors.jsonl")) == {"stuck": "the worker died of it twice (signal 9)"}


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_whole_files_and_goes_on(
    folder: Path, long: dict[str, bytes], number: signal.Signals, status: int
) -> None:
    run = start("--jobs", "2", "--batch", "2")
    wait_for(lambda: list(Path("out").rglob("*.wav")), run)
    os.killpg(run.pid, number)
    _, err = run.communicate()
    assert run.returncode == status
    assert "Traceback" not in err
    made = hashes(Path("out"))
    assert 0 < len(made) < 24 and made.items() <= long.items()
    assert leftovers(Path("out")) == []
    report = vocode("long", "voice.linnet", "out", jobs=2)
    assert report.skipped == len(made)
    assert hashes(Path("out")) == long


def test_a_full_disk_stops_the_run_which_goes_on_elsewhere_in_time(
    folder: Path, long: dict[str, bytes]
) -> None:
    Path("out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", "out"]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small disk")
    try:
        run = start("--jobs", "2", "--batch", "2")
        out, err = run.communicate()
        assert run.returncode == 1
        assert os.strerror(errno.ENOSPC) in err and "goes on from here" in err
        made = hashes(Path("out"))
        assert 0 < len(made) < 24 and made.items() <= long.items()
        assert leftovers(Path("out")) == []
        subprocess.run(["mount", "-o", "remount,size=100m", "out"], check=True)
        vocode("long", "voice.linnet", "out", jobs=2)
        assert hashes(Path("out")) == long
    finally:
        subprocess.run(["umount", "out"], check=True)
