"""Maps of tensor names: entries, numbers, prefixes, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from linnet_export.names import rename


def renamed(names: dict[str, Any], *theirs: str) -> dict[str, str]:
    """Our names -> theirs."""
    return rename({name: name for name in theirs}, names)


def test_entries_come_before_patterns_and_patterns_in_their_order() -> None:
    names = {"*.bias": "*.b", "head.*": "out.*", "O2.bias": "out.b", "ignore": ["*_tracked"]}
    theirs = ("a.b", "out.b", "out.weight", "as.it.is", "n_tracked")
    assert renamed(names, *theirs) == {
        "a.bias": "a.b",
        "O2.bias": "out.b",
        "head.weight": "out.weight",
        "as.it.is": "as.it.is",
    }


def test_numbers_are_shifted() -> None:
    names = {"conditioning.{i}.*": "net.{i+2}.conv{i+2}.*", "last": "net.7.x"}
    theirs = ("net.2.conv2.weight", "net.13.conv13.weight", "net.7.x")
    assert renamed(names, *theirs) == {
        "conditioning.0.weight": "net.2.conv2.weight",
        "conditioning.11.weight": "net.13.conv13.weight",
        "last": "net.7.x",
    }
    for other in ("net.1.conv1.weight", "net.3.conv4.weight"):  # below 0, and of two numbers
        assert renamed(names, other, *theirs)[other] == other


def test_a_dot_is_a_dot() -> None:
    assert renamed({"b": "a.c"}, "a.c", "axc") == {"b": "a.c", "axc": "axc"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"x": "nowhere"}, "lacks: nowhere; it has a, b"),
        ({"x.*": "nowhere.*"}, r"lacks: nowhere\.\*"),
        ({"ignore": ["c*"]}, r"lacks: c\*"),
        ({"ignore": "a"}, "no list"),
        ({"b": "a"}, "gives b twice"),
        ({"*": "a"}, "same of"),
        ({"x": "{i}"}, "same of"),
        ({"x**": "a*"}, "more than one"),
    ],
)
def test_maps_that_do_not_fit_say_why(names: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        renamed(names, "a", "b")
