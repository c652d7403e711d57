"""The modules of the Python packages, and what they import. As a program it prints figures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "linnet": ROOT / "runtime/linnet",
    "linnet_bench": ROOT / "bench/linnet_bench",
    "linnet_export": ROOT / "export/linnet_export",
    "linnet_training": ROOT / "training/linnet_training",
}
OPERATIONS = ("Linear", "Logistics", "StepUp", "Predict", "Match")


class Import(NamedTuple):
    """A module that another one imports, when it is imported itself or later, in a function."""

    module: str
    at_once: bool


def modules() -> dict[str, Path]:
    """Every module's file."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            names = [package, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(names).removesuffix(".__init__")] = file
    return found


def imports(file: Path, known: dict[str, Path]) -> set[Import]:
    """What a module imports, `from package import module` counted as the module."""
    return set(_imports(ast.parse(file.read_text(encoding="utf-8")), known, True))


def _imports(node: ast.AST, known: dict[str, Path], at_once: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                extension = alias.name.startswith("_")  # compiled, or typed by a stub
                yield Import(whole if whole in known or extension else child.module, at_once)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, known, at_once and not is_function)


def circles() -> list[list[str]]:
    """Modules that import each other, at once or later, also where only types are needed."""
    known = modules()
    edges = {name: {i.module for i in imports(file, known)} for name, file in known.items()}
    reached = {name: _reached(name, edges) for name in edges}
    found = {
        tuple(sorted(b for b in reached[a] if a in reached.get(b, ())))
        for a in edges
        if a in reached[a]
    }
    return sorted(map(list, found))


def _reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _names(file: Path, operation: str) -> bool:
    """Whether a module has to do with an operation: declares or imports it."""
    text = file.read_text(encoding="utf-8")
    if file.match("format/operations.py"):
        return f"class {operation}(" in text
    imported = re.search(r"from linnet\.format\.operations import (\([^)]*\)|.*)", text)
    return imported is not None and operation in re.findall(r"\w+", imported[1])


def _print_figures() -> None:
    known = modules()
    for package in PACKAGES:
        files = [file for name, file in known.items() if name.split(".")[0] == package]
        texts = [file.read_text(encoding="utf-8") for file in files]
        functions = [
            (node.end_lineno - node.lineno + 1, node.name)
            for text in texts
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.end_lineno
        ]
        lines = sum(text.count("\n") for text in texts)
        print(f"{package}: {lines} lines, {len(files)} files; longest function {max(functions)}")
    print("circles:", circles() or "none")
    for operation in OPERATIONS:
        named = [name for name, file in known.items() if _names(file, operation)]
        print(f"{operation}: {len(named)} files: {', '.join(named)}")


if __name__ == "__main__":
    _print_figures()
