"""linnet voices: the voices that come with linnet."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import linnet
from linnet.table import table

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("voices", help="list the voices that come with linnet")
    parser.add_argument("--json", action="store_true", help="print all of their cards")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    cards = linnet.voices()
    if options.json:
        print(json.dumps(cards, indent=2))
        return
    titles = ["name", "description", "Hz", "bytes", "sparsity", "PESQ", "STOI"]
    print(table([titles, *(_row(name, card) for name, card in cards.items())], left=2))


def _row(name: str, card: dict[str, Any]) -> list[object]:
    info = linnet.load(card["path"]).info()
    return [
        name,
        card.get("description", info["architecture"]),
        info["sample_rate"],
        info["file_bytes"],
        f"{info['sparsity']:.0%}" if info["hidden_size"] else "-",  # of the recurrent matrix
        card.get("pesq", "-"),
        card.get("stoi", "-"),
    ]
