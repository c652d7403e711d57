"""Text tables for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(rows: Sequence[Sequence[object]], left: int | Collection[int] = 1) -> str:
    """Rows of cells in columns: the first `left` ones, or those named, flush left, others right."""
    flush_left = range(left) if isinstance(left, int) else left
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in flush_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def facts(rows: Sequence[tuple[str, object]]) -> str:
    """Names and what they are, one per line."""
    return table(rows, left=2)
