"""Each operation is declared once, in the core: Python's classes and FORMAT.md say the same."""

from __future__ import annotations

from dataclasses import fields

import pytest

from linnet import _hooks
from linnet.format import operations as python
from linnet.format.reading import read
from native import ROOT
from operation_tables import markdown, operations
from varied_voices import varied_voices

FORMAT = (ROOT / "export" / "FORMAT.md").read_text()
CLASSES = {kind.number: kind for kind in python.Operation.__subclasses__()}
KINDS = {"real": "f32", "operand": "operand"}  # the others are numbers


@pytest.mark.parametrize("name", operations())
def test_format_md_has_the_table_of_every_operation(name: str) -> None:
    row = operations()[name]
    start = FORMAT.index(f"### {name} ({row['number']}):")
    section = FORMAT[start : FORMAT.find("\n### ", start + 1)]
    assert markdown(row) in section


def test_format_md_fits_a_screen() -> None:
    assert max(map(len, FORMAT.splitlines())) <= 120


def test_every_operation_has_a_class() -> None:
    assert set(CLASSES) == {row["number"] for row in operations().values()}


@pytest.mark.parametrize("name", operations())
def test_a_class_names_the_same_words(name: str) -> None:
    row = operations()[name]
    kind = CLASSES[row["number"]]
    assert kind.__name__.lower() == name.replace("_", "")
    ours = {}
    for f in fields(kind):
        form = f.metadata["kind"]
        base = form.removeprefix("optional").strip().removeprefix("row ").strip() or "u32"
        ours[f.metadata["word"]] = (f.name, base, form.startswith("optional"))
    theirs = {
        word["at"]: (word["name"], KINDS.get(word["kind"], "u32"), word["optional"])
        for word in row["words"]
    }
    assert ours == theirs


@pytest.mark.parametrize("name", sorted(varied_voices()))
def test_operands_have_the_same_sizes(name: str) -> None:
    data = varied_voices()[name]
    voice = read(data)
    rows = voice.header.rows
    ours = []
    for operation in [*voice.frame_program, *voice.sample_program]:
        places = operation.operands(voice.tensors_of(operation), rows)
        ours.append({name: floats for name, _, floats in places})
    assert ours == _hooks.operand_sizes(data)
