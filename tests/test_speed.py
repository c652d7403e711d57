"""What is said of speed: right at any speed, and honest on a busy machine. Nothing is timed."""

from __future__ import annotations

import time
from typing import Any

import pytest

import linnet
from linnet import speed
from voices import tiny_voice


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (15.2, "15.2 x faster than real time"),
        (1.0, "as fast as real time"),
        (0.4, "2.5 x slower than real time"),
    ],
)
def test_the_words_fit_the_figure(times: float, text: str) -> None:
    assert speed.against_real_time(times) == text


@pytest.mark.parametrize(("ran", "said"), [(1.0, False), (0.97, False), (0.6, True)])
def test_a_busy_machine_is_mentioned(ran: float, said: bool, monkeypatch: Any) -> None:
    wall, own = iter([10.0, 12.0]), iter([1.0, 1.0 + 2 * ran])
    monkeypatch.setattr(time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(time, "thread_time", lambda: next(own))
    with speed.Watch() as watch:
        pass
    assert watch.ran == pytest.approx(ran)
    assert ("ran for 60% of the time" in speed.busy(watch.ran)) == said
    quick = speed.QuickSpeed(30.0, 2.0, 0.3, "portable", 1, watch.ran)
    assert ("the machine is busy" in str(quick)) == said


def test_a_product_faster_than_its_limit_is_doubted() -> None:
    assert speed.against_limit(1.67) == "1.67 x that"
    assert speed.against_limit(0.9).startswith("0.90 x that, which cannot be")


def test_inspect_says_how_much_of_the_time_it_had() -> None:
    quick = speed.quick_speed(linnet.load(tiny_voice()), 0.01)
    assert 0 < quick.ran <= 1.05 and quick.times_real_time > 0
