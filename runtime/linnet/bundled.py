"""The voices that come with linnet, by name."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """Where they stand: in the package, or in the checkout that it runs from."""
    inside = _HERE / "voices"
    return inside if inside.is_dir() else _HERE.parents[1] / "voices"


def voices() -> dict[str, dict[str, Any]]:
    """The voices that come with linnet: for each name what its card says, and its "path".

    A card is NAME.json beside NAME.linnet, free-form: of linnet's own voices a description, the
    licence, and measures of held-out sentences.
    """
    found = {}
    for path in sorted(folder().glob("*.linnet")):
        card = path.with_suffix(".json")
        facts = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
        found[path.stem] = {**facts, "path": str(path)}
    return found


def find(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The file that is meant: `path` itself, or a bundled voice where no file has that name.

    Raises FileNotFoundError for a bare word that is neither.
    """
    text = os.fspath(path)
    if not isinstance(path, str) or Path(text).name != text or os.path.exists(text):
        return path
    if text.endswith(".linnet"):
        return path
    known = voices()
    if text not in known:
        names = ", ".join(known) or "none"
        why = f"no such file, and no voice of that name comes with linnet (there are: {names})"
        raise FileNotFoundError(errno.ENOENT, why, text)
    return str(known[text]["path"])
