"""An utterance in progress: frames go in, samples come out."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from linnet import _core
from linnet.arguments import checked_chunk, checked_count, checked_seed

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]


class VoiceStream:
    """Frames of one utterance to its samples, as they come; `Voice.open_stream` makes it.

        with voice.open_stream(seed=0) as stream:
            stream.push(mel)
            stream.finish()
            pcm = stream.pull()

    Samples are made in `pull`; `push` only keeps the frames. The samples have the bits of
    `Voice.synthesize`, however they are pushed and pulled. One thread may push while another pulls.

    It is an asynchronous iterator too, over chunks of up to one hop: it waits for frames without
    blocking the event loop, makes samples in another thread, and ends after `finish`.
    """

    def __init__(
        self,
        core: _core.Stream,
        n_mels: int,
        hop_length: int,
        lookahead: int,
        check: Callable[[Float32], None],
    ) -> None:
        self._core: _core.Stream | None = core
        self._n_mels, self._hop_length, self._lookahead = n_mels, hop_length, lookahead
        self._check = check
        self._using = threading.Lock()  # of the core, and of what is pulled
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._making: asyncio.Future[Int16] | None = None
        self._begin()

    def _begin(self) -> None:
        self._frames: deque[Float32] = deque()
        self._pushed = self._pulled = 0  # frames, samples
        self._finished = self._told = False  # told: the core knows

    def push(self, frames: npt.ArrayLike) -> None:
        """Give frames: one (n_mels,), or several (n_mels, n). They wait here until they are pulled.

        Raises ValueError for features of another shape, that are not floating point, or not finite,
        and after `finish` or `close`.
        """
        self._open()
        if self._finished:
            raise ValueError("the stream is finished: reset it for another utterance")
        chunk = checked_chunk(frames, self._n_mels)
        self._check(chunk)
        self._frames.append(chunk)
        self._pushed += len(chunk)
        self._wake()

    def finish(self) -> None:
        """No more frames come: the samples of the last ones can be made."""
        self._open()
        self._finished = True
        self._wake()

    @property
    def available(self) -> int:
        """How many samples can be pulled now."""
        ready = self._pushed if self._finished else max(self._pushed - self._lookahead, 0)
        return ready * self._hop_length - self._pulled

    def pull(self, n: SupportsIndex | None = None) -> Int16:
        """The next samples, int16 (m,): all that are available, or at most n of them.

        The GIL is released while they are made. Raises ValueError after `close`.
        """
        most = None if n is None else checked_count(n, "n")
        with self._using:
            core = self._open()
            samples = np.empty(self.available if most is None else min(self.available, most), "i2")
            done = 0
            while done < samples.size:
                done += core.pull(samples[done:])
                if done < samples.size:
                    self._feed(core)
            self._pulled += done
            return samples

    def _feed(self, core: _core.Stream) -> None:
        """Hand the core what it takes of the frames that wait; it has made all samples that it can
        without."""
        if self._frames:
            frames = self._frames[0]
            taken = core.push(frames)
            self._frames.popleft()
            if taken < len(frames):
                self._frames.appendleft(frames[taken:])
        elif self._finished and not self._told:
            core.finish()
            self._told = True

    def reset(self, seed: SupportsIndex = 0) -> None:
        """Begin another utterance, of another seed; frames and samples of this one are dropped."""
        number = checked_seed(seed)
        with self._using:
            self._open().reset(number)
            self._begin()

    def close(self) -> None:
        """Free its memory and threads; only `close` may be called afterwards."""
        with self._using:
            self._core = None
            self._begin()
        self._wake()

    def _open(self) -> _core.Stream:
        if self._core is None:
            raise ValueError("the stream is closed")
        return self._core

    def __enter__(self) -> VoiceStream:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> VoiceStream:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    def __aiter__(self) -> VoiceStream:
        return self

    async def __anext__(self) -> Int16:
        loop = asyncio.get_running_loop()
        while self._making is None:
            self._open()
            if self.available:
                self._making = loop.run_in_executor(None, self.pull, self._hop_length)
            elif self._finished:
                raise StopAsyncIteration
            else:
                waiting = (loop, loop.create_future())
                self._waiting.append(waiting)
                if not self.available and not self._finished:  # nor came meanwhile
                    await waiting[1]
        # Who stops waiting for samples gets them the next time.
        samples = await asyncio.shield(self._making)
        self._making = None
        return samples

    def _wake(self) -> None:
        """Whoever waits for frames, in whichever loop."""
        while self._waiting:
            loop, future = self._waiting.pop()
            loop.call_soon_threadsafe(_done, future)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
