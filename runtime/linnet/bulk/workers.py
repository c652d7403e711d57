"""The engine for one machine: processes that take groups of utterances, and survive each other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from linnet.bulk.utterances import Utterance

Group = list[Utterance]
# One process per core: the matrix products of the features need no threads of their own.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def run(
    groups: list[Group], jobs: int, arguments: tuple[Any, ...]
) -> Generator[dict[str, Any], None, None]:
    """The results of `Vocoder(*arguments)` for each group, as they come, from `jobs` processes.

    A process that dies takes nothing with it: its group is tried again, one utterance at a time,
    and an utterance that a process dies of twice is an error. Closing the iterator stops them.
    """
    waiting = deque(groups)
    died_of: set[str] = set()
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.group for worker in workers):
            while waiting and len(workers) < jobs:
                workers.append(_Worker(arguments))
            for worker in workers:
                if waiting and not worker.group:
                    worker.take(waiting.popleft())
            for worker in _ready(workers):
                result = worker.result()
                if result is not None:
                    yield result
                    continue
                workers.remove(worker)
                yield from _after_death(worker, waiting, died_of)
        for worker in workers:
            worker.finish()
    finally:
        for worker in workers:
            worker.stop()


def _after_death(
    worker: _Worker, waiting: deque[Group], died_of: set[str]
) -> Iterator[dict[str, Any]]:
    for utterance in worker.group:
        if len(worker.group) == 1 and utterance.name in died_of:
            yield {
                "name": [utterance.name],
                "path": [utterance.path],
                "seconds": [0.0],
                "error": [f"the worker died of it twice ({worker.cause()})"],
                "stop": [False],
            }
        else:
            if len(worker.group) == 1:
                died_of.add(utterance.name)
            waiting.append([utterance])


def _ready(workers: list[_Worker]) -> list[_Worker]:
    ready = wait([worker.pipe for worker in workers if worker.group])
    return [worker for worker in workers if worker.pipe in ready]


class _Worker:
    def __init__(self, arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.group: Group = []
        self._process = context.Process(target=_serve, args=(theirs, arguments), daemon=True)
        with _environment(ONE_THREAD), _without_interrupts():
            self._process.start()
        theirs.close()

    def take(self, group: Group) -> None:
        self.group = group
        with contextlib.suppress(OSError):  # it has died: `result` finds out
            self.pipe.send(group)

    def result(self) -> dict[str, Any] | None:
        """What it has made of its group; None where it has died. Raises what stops every worker."""
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return None
        if isinstance(answer, Exception):
            raise answer
        self.group = []
        result: dict[str, Any] = answer
        return result

    def cause(self) -> str:
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"status {code}"

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(None)

    def stop(self) -> None:
        """End it: at once, unless `finish` came before."""
        self.pipe.close()
        self._process.join(timeout=0.5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that start meanwhile never see Ctrl-C, not even before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then stops us
    signal.signal(signal.SIGTERM, _leave)
    from linnet.bulk.vocoder import Vocoder

    try:
        vocoder = Vocoder(*arguments)
    except Exception as error:
        pipe.recv()
        pipe.send(error)
        return
    with contextlib.suppress(EOFError, OSError):  # the parent has gone
        while group := pipe.recv():
            names = [utterance.name for utterance in group]
            paths = [utterance.path for utterance in group]
            pipe.send(vocoder({"name": names, "path": paths}))


def _leave(number: int, frame: FrameType | None) -> None:
    """As an exception, so that a file that is being written goes away."""
    sys.exit(128 + number)
