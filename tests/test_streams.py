"""Voice.open_stream: whatever is pushed and pulled, and by whom, the samples are synthesize's."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from voices import tiny_voice

VOICE = linnet.load(tiny_voice())


def random_mel(n_frames: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).random((10, n_frames), np.float32)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(0, 9), st.integers(0, 2**64 - 1), st.sampled_from([0.0, 0.5, 1.0]))
def test_any_pushes_and_pulls_give_the_bits_of_one_call(
    data: st.DataObject, n_frames: int, seed: int, temperature: float
) -> None:
    mel = random_mel(n_frames)
    whole = VOICE.synthesize(mel, seed, temperature)
    parts = [np.empty(0, np.int16)]
    with VOICE.open_stream(seed, temperature) as stream:
        at = 0
        while at < n_frames:
            n = data.draw(st.integers(1, n_frames - at))
            chunk = mel[:, at : at + n]
            stream.push(chunk[:, 0] if n == 1 and data.draw(st.booleans()) else chunk)
            at += n
            assert stream.available == max(at - VOICE.lookahead, 0) * 20 - sum(map(len, parts))
            most = data.draw(st.none() | st.integers(0, 90))
            wanted = stream.available if most is None else min(most, stream.available)
            parts.append(stream.pull(most))
            assert parts[-1].size == wanted and parts[-1].dtype == np.int16
        stream.finish()
        assert stream.available == n_frames * 20 - sum(map(len, parts))
        parts.append(stream.pull())
        assert stream.available == 0 and stream.pull().size == 0
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_reset_begins_another_utterance() -> None:
    mel = random_mel(5)
    with VOICE.open_stream(seed=1) as stream:
        stream.push(random_mel(7, 1))
        stream.pull(30)
        for seed in (2, 1 << 63):
            stream.reset(seed)
            assert stream.available == 0
            stream.push(mel)
            stream.finish()
            np.testing.assert_array_equal(stream.pull(), VOICE.synthesize(mel, seed))


def test_frames_that_were_pushed_may_be_overwritten() -> None:
    frames = np.asfortranarray(random_mel(4))
    expected = VOICE.synthesize(frames)
    stream = VOICE.open_stream()
    stream.push(frames)
    frames[:] = 0
    stream.finish()
    np.testing.assert_array_equal(stream.pull(), expected)


def test_a_thread_pushes_while_another_pulls() -> None:
    mel = random_mel(200)
    stream = VOICE.open_stream(3)

    def push() -> None:
        for frame in mel.T:
            stream.push(frame)
        stream.finish()

    thread = threading.Thread(target=push)
    thread.start()
    parts: list[npt.NDArray[np.int16]] = []
    while sum(part.size for part in parts) < 200 * 20:
        parts.append(stream.pull(64))
    thread.join()
    np.testing.assert_array_equal(np.concatenate(parts), VOICE.synthesize(mel, 3))


def test_it_is_iterated_while_frames_come() -> None:
    mel = random_mel(12)

    async def push(stream: linnet.VoiceStream) -> None:
        for frame in mel.T:
            await asyncio.sleep(0)
            stream.push(frame)
        stream.finish()

    async def run() -> list[npt.NDArray[np.int16]]:
        async with VOICE.open_stream(5) as stream:
            pushing = asyncio.create_task(push(stream))
            chunks = [chunk async for chunk in stream]
            await pushing
            return chunks

    chunks = asyncio.run(run())
    assert [len(chunk) for chunk in chunks] == [20] * 12
    np.testing.assert_array_equal(np.concatenate(chunks), VOICE.synthesize(mel, 5))


def test_two_utterances_share_an_event_loop() -> None:
    async def one(seed: int) -> npt.NDArray[np.int16]:
        stream = VOICE.open_stream(seed)
        stream.push(random_mel(9, seed))
        stream.finish()
        return np.concatenate([chunk async for chunk in stream])

    async def run() -> Any:
        return await asyncio.gather(*map(one, range(4)))

    for seed, samples in enumerate(asyncio.run(run())):
        np.testing.assert_array_equal(samples, VOICE.synthesize(random_mel(9, seed), seed))


def test_who_gives_up_waiting_loses_no_samples() -> None:
    mel = random_mel(6)

    async def run() -> npt.NDArray[np.int16]:
        stream = VOICE.open_stream()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)  # no frame has come
        stream.push(mel)
        stream.finish()
        taking = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        taking.cancel()
        return np.concatenate([chunk async for chunk in stream])

    np.testing.assert_array_equal(asyncio.run(run()), VOICE.synthesize(mel))


def test_a_closed_or_finished_stream_refuses() -> None:
    stream = VOICE.open_stream()
    stream.finish()
    with pytest.raises(ValueError, match="finished: reset it"):
        stream.push(random_mel(1))
    stream.close()
    stream.close()
    for use in (stream.pull, stream.finish, stream.reset, lambda: stream.push(random_mel(1))):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_close_ends_the_waiting() -> None:
    async def run() -> None:
        stream = VOICE.open_stream()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            await waiting

    asyncio.run(run())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros(9, np.float32), r"must have shape \(10, n_frames\)"),
        (np.zeros((3, 10), np.float32), "transposed"),
        (np.full(10, np.nan), "finite"),
        (np.zeros(10, int), "floating point"),
    ],
)
def test_bad_frames_are_refused_when_they_are_pushed(frames: Any, message: str) -> None:
    with VOICE.open_stream() as stream:
        with pytest.raises(ValueError, match=message):
            stream.push(frames)
        assert stream.available == 0
        for n in (-1, 1.5):
            with pytest.raises(ValueError, match="n must be"):
                stream.pull(n)  # type: ignore[arg-type]
