"""The Python interface: what each call gives, and what bad input gets."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet import _core
from voices import tiny_voice

each_set = pytest.mark.parametrize("kernels", linnet.kernels())
seeds = st.integers(0, 2**64 - 1)

FEATURES = {"mel_norm": "none", "log": "ln"}
VOICE_BYTES = tiny_voice(config={"features": FEATURES})
LARGE_VOICE_BYTES = tiny_voice(256)  # large enough for several threads to be of use


@pytest.fixture(scope="module")
def voice() -> linnet.Voice:
    return linnet.load(VOICE_BYTES)


def random_mel(n_frames: int, seed: int = 0, n_mels: int = 10) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n_mels, n_frames)).astype(np.float32)


# ---- What works


def test_kernels_lists_portable_last() -> None:
    assert linnet.kernels()[-1] == "portable"


@each_set
def test_a_voice_from_a_path_or_bytes_runs_the_asked_kernels(tmp_path: Path, kernels: str) -> None:
    path = tmp_path / "voice.linnet"
    path.write_bytes(VOICE_BYTES)
    mel = random_mel(3)
    opened = [linnet.load(source, 1, kernels) for source in (path, str(path), VOICE_BYTES)]
    for voice in opened:
        assert voice.kernels == voice.info()["kernels"] == kernels
        assert voice._stream(0, 1.0).kernels == kernels
        np.testing.assert_array_equal(voice.synthesize(mel), opened[0].synthesize(mel))


def test_the_numbers_of_a_voice(voice: linnet.Voice) -> None:
    assert (voice.sample_rate, voice.hop_length, voice.n_mels) == (16000, 20, 10)
    info = voice.info()
    assert info["file_bytes"] == len(VOICE_BYTES)
    assert (info["hidden_size"], info["block"], info["dtype"]) == (32, "4x4", "float16")
    assert info["sparsity"] == 0.75
    assert info["latency_ms"] == 1000 * info["lookahead_frames"] * 20 / 16000
    layers = {layer["name"]: layer for layer in info["layers"]}
    assert layers["gru.recurrent"]["stored_weights"] == 0.25 * 96 * 32
    assert info["stored_weights"] == sum(
        layer["stored_weights"] for layer in info["layers"] if layer["block"] != "vector"
    )
    assert info["bytes_per_weight"] == info["file_bytes"] / info["stored_weights"]
    assert info["features"]["n_mels"] == 10
    assert info["training"] == {"description": "random weights"}


def test_features_are_those_of_the_stored_definition(voice: linnet.Voice) -> None:
    from linnet.features import log_mel

    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 401)
    mel = voice.features(audio, 16000)
    assert mel.shape == (10, 21) and mel.dtype == np.float32
    np.testing.assert_array_equal(mel, log_mel(audio, 16000, voice.info()["features"]))
    assert voice.synthesize(mel).shape == (420,)


def test_samples_follow_the_seed(voice: linnet.Voice) -> None:
    mel = random_mel(10)
    first = voice.synthesize(mel, seed=1)
    assert first.dtype == np.int16 and first.shape == (200,)
    np.testing.assert_array_equal(first, voice.synthesize(mel, seed=1))
    assert (first != voice.synthesize(mel, seed=2)).any()
    assert (first != voice.synthesize(mel, seed=1 << 63)).any()


def test_temperature_0_is_the_same_for_every_seed(voice: linnet.Voice) -> None:
    mel = random_mel(4)
    likeliest = voice.synthesize(mel, seed=1, temperature=0)
    np.testing.assert_array_equal(likeliest, voice.synthesize(mel, seed=2, temperature=0))


def test_float64_features_are_converted(voice: linnet.Voice) -> None:
    mel = random_mel(3)
    for same in (mel.astype(np.float64), np.asfortranarray(mel), mel[::1]):
        np.testing.assert_array_equal(voice.synthesize(same), voice.synthesize(mel))


def test_features_of_acoustic_models_are_taken_as_they_come(voice: linnet.Voice) -> None:
    mel = random_mel(3).astype(np.float16)
    expected = voice.synthesize(mel.astype(np.float32))
    for same in (mel, mel[None], mel.astype(np.float64)[None]):
        np.testing.assert_array_equal(voice.synthesize(same), expected)
        np.testing.assert_array_equal(voice.synthesize_batch([same])[0], expected)
    with pytest.raises(ValueError, match=r"\(2, 10, 3\) are a batch: synthesize_batch"):
        voice.synthesize(np.stack([mel, mel]))
    both = voice.synthesize_batch(np.stack([mel, mel]))  # a batch is several utterances
    np.testing.assert_array_equal(both[1], expected)


def test_tensors_are_features(voice: linnet.Voice) -> None:
    torch = pytest.importorskip("torch", reason="tensors are PyTorch's")
    tensor = torch.rand(1, 10, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = voice.synthesize(tensor.detach().numpy())
    np.testing.assert_array_equal(voice.synthesize(tensor), expected)
    np.testing.assert_array_equal(np.concatenate(list(voice.stream(tensor[0].T))), expected)
    rounded = tensor.bfloat16()
    np.testing.assert_array_equal(
        voice.synthesize(rounded), voice.synthesize(rounded.detach().float().numpy())
    )
    with pytest.raises(ValueError, match="floating point"):
        voice.synthesize(torch.zeros(10, 4, dtype=torch.int64))


def test_a_voice_is_pickled_by_what_opened_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "voice.linnet"
    path.write_bytes(VOICE_BYTES)
    monkeypatch.chdir(tmp_path)
    mel = random_mel(3)
    for source in ("voice.linnet", path, VOICE_BYTES, bytearray(VOICE_BYTES)):
        pickled = pickle.dumps(linnet.load(source, 2, "portable"))
        monkeypatch.chdir("/")  # a relative path is kept whole
        again = pickle.loads(pickled)
        monkeypatch.chdir(tmp_path)
        assert (again.kernels, again.threads) == ("portable", 2)
        np.testing.assert_array_equal(again.synthesize(mel), linnet.load(path).synthesize(mel))
        assert (len(pickled) > len(VOICE_BYTES)) == isinstance(source, (bytes, bytearray))
    assert pickle.loads(pickle.dumps(linnet.load("slt"))).info()["name"] == "slt"
    pickled = pickle.dumps(linnet.load(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_processes_of_a_pool_take_a_voice(voice: linnet.Voice) -> None:
    mels = [random_mel(2, seed) for seed in range(3)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        samples = list(pool.map(voice.synthesize, mels))
    for mel, found in zip(mels, samples, strict=True):
        np.testing.assert_array_equal(found, voice.synthesize(mel))


def test_copies_and_saved_files_are_the_same_voice(voice: linnet.Voice, tmp_path: Path) -> None:
    mel = random_mel(3)
    voice.save(tmp_path / "saved.linnet")
    assert (tmp_path / "saved.linnet").read_bytes() == VOICE_BYTES
    for same in (copy.copy(voice), copy.deepcopy({"voice": voice})["voice"]):
        assert same is not voice
        np.testing.assert_array_equal(same.synthesize(mel), voice.synthesize(mel))
    opened = linnet.load(tmp_path / "saved.linnet")
    opened.save(tmp_path / "saved.linnet")  # over the file that it runs in place
    np.testing.assert_array_equal(opened.synthesize(mel), voice.synthesize(mel))
    with pytest.raises(FileNotFoundError):
        voice.save(tmp_path / "absent" / "saved.linnet")


def test_no_frames_give_no_samples(voice: linnet.Voice) -> None:
    empty = np.zeros((10, 0), np.float32)
    assert voice.synthesize(empty).shape == (0,)
    assert list(voice.stream([])) == []


@settings(deadline=None, max_examples=30)
@given(st.data(), st.integers(0, 7), seeds, st.sampled_from(linnet.kernels()))
def test_any_chunking_gives_the_bits_of_one_call(
    data: st.DataObject, n_frames: int, seed: int, kernels: str
) -> None:
    voice = linnet.load(VOICE_BYTES, kernels=kernels)
    mel = random_mel(n_frames, seed % 1000)
    whole = voice.synthesize(mel, seed)
    np.testing.assert_array_equal(whole, linnet.load(VOICE_BYTES).synthesize(mel, seed))
    chunks = [np.empty(0, np.int16), *voice.stream(mel.T, seed)]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)

    # Pushes of several frames and pulls of any size, on a stream that was used before.
    stream = voice._stream(0, 1.0)
    stream.push(random_mel(1).T.copy())
    stream.reset(seed)
    frames, parts, at = np.ascontiguousarray(mel.T), [chunks[0]], 0
    finished = False
    while not finished or stream.available:
        if at < n_frames and not stream.available:
            at += stream.push(frames[at : at + data.draw(st.integers(1, 4))])
        elif at == n_frames and not finished:
            stream.finish()
            finished = True
        part = np.empty(data.draw(st.integers(0, 50)), np.int16)
        parts.append(part[: stream.pull(part)])
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_stream_gives_samples_as_soon_as_it_can(voice: linnet.Voice) -> None:
    came = 0

    def frames() -> Any:
        nonlocal came
        for frame in random_mel(6).T:
            came += 1
            yield frame

    frames_at_chunk = [came for _ in voice.stream(frames())]
    assert frames_at_chunk == [min(t + 1 + voice.lookahead, 6) for t in range(6)]


def test_score_is_the_mean_over_samples(voice: linnet.Voice) -> None:
    mel = random_mel(4)
    pcm = voice.synthesize(mel)
    nats = voice.score(mel, pcm)
    assert isinstance(nats, float) and 0 < nats < np.inf
    head = [n * voice.score(mel, pcm[:n]) for n in (79, 80)]
    assert 0 < head[1] - head[0] < np.inf
    assert head[1] == pytest.approx(80 * nats, rel=1e-15)
    assert {linnet.load(VOICE_BYTES, kernels=k).score(mel, pcm) for k in linnet.kernels()} == {nats}


# ---- Threads and signals


def test_threads_that_share_a_voice_get_the_bits_of_one(voice: linnet.Voice) -> None:
    mel = random_mel(100)
    alone = [voice.synthesize(mel, seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: voice.synthesize(mel, seed), range(6)))
    np.testing.assert_array_equal(alone, together)


@settings(deadline=None, max_examples=12)
@given(st.integers(2, 5), st.integers(1, 4), seeds, st.sampled_from(linnet.kernels()))
def test_any_number_of_threads_gives_the_bits_of_one(
    threads: int, n_frames: int, seed: int, kernels: str
) -> None:
    voice = linnet.load(LARGE_VOICE_BYTES, threads, kernels)
    assert voice.threads == voice.info()["threads"] == threads
    mel = random_mel(n_frames, seed % 1000)
    alone = linnet.load(LARGE_VOICE_BYTES)
    samples = alone.synthesize(mel, seed)
    np.testing.assert_array_equal(voice.synthesize(mel, seed), samples)
    np.testing.assert_array_equal(np.concatenate(list(voice.stream(mel.T, seed))), samples)
    assert voice.score(mel, samples) == alone.score(mel, samples)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of threads")
def test_a_streams_threads_live_as_long_as_it() -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    stream = linnet.load(LARGE_VOICE_BYTES, threads=4)._stream(0, 1.0)
    assert len(list(Path("/proc/self/task").iterdir())) == before + 3
    del stream
    assert len(list(Path("/proc/self/task").iterdir())) == before


class Enough(Exception):
    pass


def test_other_threads_run_during_synthesis(voice: linnet.Voice) -> None:
    counted = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    seen: set[int] = set()

    def report(done: int) -> None:
        seen.add(counted)
        if len(seen) == 4:
            raise Enough

    frames = np.zeros((100_000, 10), np.float32)
    samples = np.zeros(2_000_000, np.int16)
    counter = threading.Thread(target=count)
    counter.start()
    # Between two reports this thread runs no Python: if it kept the GIL, nobody could count, and
    # all samples would be made.
    try:
        with pytest.raises(Enough):
            voice._stream(0, 1.0).synthesize(frames, samples, report)
    finally:
        stop.set()
        counter.join()


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)
def test_ctrl_c_stops_synthesis(voice: linnet.Voice) -> None:
    mel = np.zeros((10, 1_000_000), np.float32)  # minutes of work
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            voice.synthesize(mel)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, previous)


def test_a_stream_in_use_refuses_another_caller(voice: linnet.Voice) -> None:
    stream = voice._stream(0, 1.0)
    refused: list[str] = []

    def report(done: int) -> None:
        with pytest.raises(RuntimeError) as error:
            stream.finish()
        refused.append(str(error.value))
        raise Enough

    with pytest.raises(Enough):
        stream.synthesize(
            np.zeros((100_000, 10), np.float32), np.zeros(2_000_000, np.int16), report
        )
    assert refused == ["this stream is in use by another thread"]


# ---- What bad input gets


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (np.zeros((9, 4), np.float32), r"must have shape \(10, n_frames\), not \(9, 4\)"),
        (np.zeros((4, 10), np.float32), "transposed, pass mel.T"),
        (np.zeros(10, np.float32), r"not \(10,\)"),
        (np.zeros((10, 4), np.int16), "must be floating point, not int16"),
        (np.full((10, 4), np.inf), "inf stands at band 0 of frame 0"),
        (np.full((10, 4), 1e39), "finite"),
    ],
)
def test_bad_features_are_refused(voice: linnet.Voice, mel: Any, message: str) -> None:
    for use in (voice.synthesize, lambda m: voice.score(m, np.zeros(80, np.int16))):
        with pytest.raises(ValueError, match=message):
            use(mel)


def test_a_nan_is_found_where_it_stands(voice: linnet.Voice) -> None:
    mel = random_mel(50)
    mel[7, 31] = np.nan
    with pytest.raises(ValueError, match="nan stands at band 7 of frame 31"):
        voice.synthesize(mel)
    chunks = voice.stream(mel.T)
    with pytest.raises(ValueError, match="frame 31 must be finite; nan stands at band 7"):
        list(chunks)


def test_a_bad_frame_is_refused_when_it_comes(voice: linnet.Voice) -> None:
    with pytest.raises(ValueError, match=r"frame 0 must have shape \(10,\), not \(50,\); .*mel.T"):
        next(voice.stream(random_mel(50)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must lie in 0"),
        ({"seed": 1 << 64}, "seed must lie in 0"),
        ({"seed": 1.0}, "seed must be an integer, not float"),
        ({"temperature": -0.5}, "temperature must be 0 or a positive"),
        ({"temperature": float("nan")}, "temperature must be 0 or a positive"),
        ({"temperature": float("inf")}, "temperature must be 0 or a positive"),
        ({"temperature": "warm"}, "temperature must be a number"),
    ],
)
def test_bad_arguments_are_refused_at_once(
    voice: linnet.Voice, arguments: dict[str, Any], message: str
) -> None:
    for use in (voice.synthesize, voice.stream):
        with pytest.raises(ValueError, match=message):
            use(random_mel(2), **arguments)


@pytest.mark.parametrize(
    "pcm",
    [np.zeros(80), np.zeros(60, np.int16), np.zeros(81, np.int16), np.zeros((80, 1), np.int16)],
)
def test_pcm_that_the_frames_do_not_cover_is_refused(voice: linnet.Voice, pcm: Any) -> None:
    with pytest.raises(ValueError, match="pcm must be int16|4 frames of 20 samples cover 80"):
        voice.score(random_mel(4), pcm)


def test_unknown_kernels_and_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="no kernel set 'mmx'; it has: .*portable"):
        linnet.load(VOICE_BYTES, kernels="mmx")
    with pytest.raises(ValueError, match="no kernel set 'mmx'; it has: .*portable"):
        linnet.SparseMatrix(np.eye(4), kernels="mmx")
    for threads in (0, 17, -1):
        with pytest.raises(ValueError, match=f"threads must lie in 1 .. 16, not {threads}"):
            linnet.load(VOICE_BYTES, threads=threads)
    with pytest.raises(ValueError, match="threads must be an integer, not float"):
        linnet.load(VOICE_BYTES, threads=2.0)  # type: ignore[arg-type]


def test_damaged_files_are_format_errors(tmp_path: Path) -> None:
    path = tmp_path / "voice.linnet"
    newer = VOICE_BYTES[:8] + b"\x02" + VOICE_BYTES[9:]
    for damaged in (b"", VOICE_BYTES[:100], VOICE_BYTES[:-1], b"RIFF" * 100, newer):
        path.write_bytes(damaged)
        for source in (path, damaged):
            with pytest.raises(linnet.FormatError, match="at byte") as error:
                linnet.load(source)
            assert isinstance(error.value, ValueError) and error.value.offset is not None


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "absent.linnet"
    with pytest.raises(FileNotFoundError) as error:
        linnet.load(path)
    assert error.value.filename == str(path)


def test_features_of_another_tool_are_refused() -> None:
    voice = linnet.load(
        tiny_voice(config={"features": {"kind": "external", "description": "x.py"}})
    )
    with pytest.raises(ValueError, match=r"only the tool that made this voice.*x\.py"):
        voice.features(np.zeros(100), 16000)


def test_the_core_checks_what_the_package_hands_it(voice: linnet.Voice) -> None:
    stream = _core.Stream(voice._model)
    with pytest.raises(ValueError, match="float32 array, not float64"):
        stream.push(np.zeros((1, 10)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(n_frames, 10\), not \(1, 9\)"):
        stream.push(np.zeros((1, 9), np.float32))
    with pytest.raises(ValueError, match="not a finite number"):
        stream.push(np.full((1, 10), np.nan, np.float32))
    with pytest.raises(ValueError, match="strided"):
        stream.pull(np.zeros(20, np.int16)[::2])
