"""FORMAT.md's tables of operations, as the core's own table says them."""

from __future__ import annotations

from typing import Any

from linnet import _hooks


def operations() -> dict[str, dict[str, Any]]:
    """The core's rows by name."""
    return {row["name"]: row for row in _hooks.operations()}


def markdown(row: dict[str, Any]) -> str:
    """The table of one operation's words."""
    lines = ["| word | what it holds |", "|---|---|"]
    for word in sorted(row["words"], key=lambda word: word["at"]):
        two = word["kind"] == "operand"
        number = f"{word['at']}, {word['at'] + 1}" if two else f"{word['at']}"
        lines.append(f"| {number} | {word['text']} |")
    return "\n".join(lines)
