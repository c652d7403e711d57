"""Gather the documents into build/site-source, from which mkdocs makes the site (`make docs`).

Every document keeps its place in the repository, so that links between them, and to pictures and
sources, hold in both. The C reference is made from linnet.h, links to what is no document lead to
copies.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site-source"
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "export", "training", "voices")

_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def documents() -> list[Path]:
    """Every Markdown file of the site, relative to the repository."""
    found = []
    for name in DOCUMENTS:
        path = ROOT / name
        found += [path] if path.is_file() else sorted(path.rglob("*.md"))
    return [path.relative_to(ROOT) for path in found if "unfinished" not in path.parts]


def gather() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    pages = documents()
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf-8")
        (SITE / page).parent.mkdir(parents=True, exist_ok=True)
        (SITE / page).write_text(_linked(text, page, set(pages)), encoding="utf-8")
    header = (ROOT / "src_cpp" / "include" / "linnet.h").read_text(encoding="utf-8")
    reference = SITE / "docs" / "reference" / "c.md"
    reference.write_text(c_reference(header), encoding="utf-8")


def _linked(text: str, page: Path, pages: set[Path]) -> str:
    """The text with the files that it links to copied; links to folders become their names."""

    def link(match: re.Match[str]) -> str:
        target = match[1]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (ROOT / page.parent / target).resolve()
        if path.is_dir():
            return f'](# "{target}")'
        if path.is_file() and path.relative_to(ROOT) not in pages:
            copy = SITE / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        return match[0]

    return _LINK.sub(link, text)


def c_reference(header: str) -> str:
    """linnet.h as a page: its sections, each comment as text above what it tells of."""
    about = header[: header.index("*/") + 2]
    lines = [
        "# C reference",
        "",
        "`src_cpp/include/linnet.h`, as it stands there.",
        "",
        *_prose(about),
    ]
    for title, text in _sections(header):
        lines += ["", f"## {title}"]
        for comment, code in _declarations(text):
            lines += ["", *_prose(comment), "", "```c", *code, "```"]
    return "\n".join(lines) + "\n"


def _sections(header: str) -> Iterator[tuple[str, str]]:
    body = header[header.index('extern "C" {') : header.rindex("#ifdef __cplusplus")]
    body = body[body.index("#endif") + len("#endif") :]
    titles = ["Version and status", *re.findall(r"^/\* ---- (.*) ---- \*/$", body, re.M)]
    yield from zip(titles, re.split(r"^/\* ---- .* ---- \*/$", body, flags=re.M), strict=True)


def _declarations(text: str) -> Iterator[tuple[str, list[str]]]:
    """Paragraphs of the header: the comment before, and the lines of code."""
    for paragraph in re.split(r"\n\n", text.strip()):
        match = re.match(r"/\*.*?\*/\n", paragraph, re.S)
        comment = match[0] if match else ""
        code = paragraph[len(comment) :].replace("LINNET_API ", "")
        if comment or code:
            yield comment, code.splitlines()


def _prose(comment: str) -> list[str]:
    inside = comment.strip().removeprefix("/*").removesuffix("*/")
    lines = [re.sub(r"^\s*\* ?", "", line).strip() for line in inside.splitlines()]
    return [line.replace("*", r"\*") for line in lines]


if __name__ == "__main__":
    gather()
