"""The code of README and tutorials runs as it stands there, block after block."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gather
from native import ROOT, build

_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """One block of a document's code."""

    language: str
    title: str  # of a file that the reader is to write
    text: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match[1], match[2] or "", match[3], line)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory that sees the checkout's voices and programs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voices").symlink_to(ROOT / "voices")
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    return tmp_path


def run_shell(text: str) -> None:
    for target in re.findall(r"^make (\w+)", text, re.M):  # tests do not build everything again
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    rest = "\n".join(line for line in text.splitlines() if not line.startswith("make "))
    done = subprocess.run(["bash", "-e", "-c", rest], capture_output=True, text=True)
    assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"


def run_c(text: str, folder: Path) -> None:
    """Inside of a function that has what the document speaks of."""
    shutil.copy(ROOT / "voices" / "slt.linnet", folder / "voice.linnet")
    program = f"""
#include <linnet.h>
#include <stdio.h>
enum {{ hop_length = 200, rows = 64, cols = 64, n = 8 }};
static float frame[80], weights[rows * cols], x[n * cols], y[n * rows];
static int fail(const char* why) {{ return fprintf(stderr, "%s\\n", why), 1; }}
int main(void) {{
  static int16_t samples[hop_length];
  size_t taken, made;
  weights[0] = 1;
{text}
  (void)samples, (void)taken, (void)made, (void)frame, (void)x, (void)y;
  return 0;
}}
"""
    (folder / "snippet.c").write_text(program)
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = build("native")
    include = ROOT / "src_cpp" / "include"
    command = [compiler, "-std=c99", f"-I{include}", "snippet.c", str(library / "liblinnet.a")]
    subprocess.run([*command, "-lm", "-pthread", "-o", "snippet"], check=True)
    subprocess.run(["./snippet"], check=True)


def run_document(document: Path, folder: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(document):
        if block.title:
            Path(block.title).write_text(block.text)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(document), "exec")
            exec(code, namespace)
        elif block.language == "sh":
            run_shell(block.text)
        elif block.language == "c":
            run_c(block.text, folder)
        else:
            raise AssertionError(f"{document}:{block.line}: nothing runs {block.language!r}")


def test_the_readme(folder: Path) -> None:
    run_document(ROOT / "README.md", folder)


TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the tutorial reads TOML with tomllib")
@pytest.mark.parametrize("document", TUTORIALS, ids=[path.stem for path in TUTORIALS])
def test_tutorials(document: Path, folder: Path) -> None:
    for package in ("torch", "librosa", "soundfile", "tqdm"):
        pytest.importorskip(package, reason="tutorials train (extra: train)")
    import torch

    torch.set_num_threads(1)  # several wait for each other at every sample on a busy machine
    run_document(document, folder)


def test_readme_and_tutorials_have_no_code_that_is_not_run() -> None:
    for document in (ROOT / "README.md", *TUTORIALS):
        text = _FENCE.sub("", document.read_text(encoding="utf-8"))
        assert "```" not in text, document
        indented = re.findall(r"(?<=\n\n)    \S.*", text)
        assert indented == [], f"{document}: indented code is not run"


def test_links_between_documents_lead_somewhere() -> None:
    for page in gather.documents():
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                assert (ROOT / page.parent / target).exists(), f"{page}: {target}"


def test_the_c_reference_has_every_function_of_the_header() -> None:
    header = (ROOT / "src_cpp" / "include" / "linnet.h").read_text(encoding="utf-8")
    page = gather.c_reference(header)
    functions = re.findall(r"^LINNET_API .*?(linnet_\w+)\(", header, re.M)
    assert len(functions) > 25
    for name in functions:
        assert f"{name}(" in page
    assert "LINNET_API" not in page and page.count("```") % 2 == 0
    assert "## Streams" in page and "Map the file at `path` and validate it." in page


@pytest.mark.skipif(
    shutil.which("mkdocs", path=str(Path(sys.executable).parent)) is None,
    reason="needs mkdocs (extra: docs)",
)
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    for command in (["docs/gather.py"], ["-m", "mkdocs", "build", "-q", "-d", str(tmp_path)]):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "docs/reference/python/index.html").read_text(encoding="utf-8")
    assert "Store <code>dense</code>" in reference and "synthesize_batch" in reference
