"""linnet inspect: what a voice's file holds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from linnet.cli.arguments import add_voice, load_voice
from linnet.cli.patterns import draw_patterns
from linnet.files import require_apart
from linnet.format.operations import Operand, Operation
from linnet.format.programs import AFTER, FRAME, SAMPLE, OperationFacts, operation_facts
from linnet.speed import quick_speed
from linnet.table import facts, table

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers
    from linnet.format.voice_file import VoiceFile


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("inspect", help="layers, sparsity, bytes and programs of a voice")
    add_voice(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--plot", metavar="OUT.png", help="draw the block patterns")
    parser.add_argument("--no-speed", action="store_true", help="do not measure how fast it runs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.plot:
        require_apart([options.plot], [options.voice])
    voice = load_voice(options)
    info, file = voice.info(), voice.file()
    if options.plot:
        draw_patterns(file, options.plot)
    speed = None if options.no_speed else quick_speed(voice)
    operations = operation_facts(file)
    if options.json:
        programs = {
            "frame_program": [program_line(op, file) for op in file.frame_program],
            "sample_program": [program_line(op, file) for op in file.sample_program],
            "match": program_line(file.match, file) if file.match else None,
            "operations": [asdict(op) for op in operations],
        }
        measured = {"speed": asdict(speed)} if speed else {}
        print(json.dumps({**info, **programs, **measured}, indent=2))
        return
    print(facts([*summary(info), *([("speed here", speed)] if speed else [])]))
    print()
    print(layer_table(info))
    for program, title in ((FRAME, "frame program"), (SAMPLE, "sample program"), (AFTER, "after")):
        if shown := [op for op in operations if op.program == program]:
            print(f"\n{title}")
            print(program_table(shown))


def summary(info: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("voice", f"{info['name']} ({info['architecture']})"),
        (
            "audio",
            f"{info['sample_rate']} Hz, {info['hop_length']} samples per frame, "
            f"{info['samples_per_step']} per step",
        ),
        ("features", f"{info['n_mels']} per frame, {info['features'].get('kind', 'unknown')}"),
        ("look-ahead", f"{info['lookahead_frames']} frames, {info['latency_ms']:g} ms"),
        *(
            [
                (
                    "sub-tensors",
                    f"{info['sub_tensors']}, the first ahead of the last by "
                    f"{info['lead_samples']} samples, "
                    f"{1000 * info['lead_samples'] / info['sample_rate']:g} ms",
                )
            ]
            if info["sub_tensors"] > 1
            else []
        ),
        *(
            [
                (
                    "matching",
                    f"{info['matching']} frames at each hop, rounds: {info['matching_rounds']}",
                )
            ]
            if info["matching"]
            else []
        ),
        *(
            [("temperature", f"{info['temperature']:g}, in the weights already")]
            if info["temperature"] != 1
            else []
        ),
        *(
            [
                ("hidden size", info["hidden_size"]),
                (
                    "recurrent matrix",
                    f"{info['sparsity']:.1%} sparse, {info['block']}, {info['dtype']}",
                ),
            ]
            if info["hidden_size"]
            else []
        ),
        ("file", f"{info['file_bytes']} bytes"),
        (
            "stored weights",
            f"{info['stored_weights']}, {info['bytes_per_weight']:.3f} bytes of the file each",
        ),
        ("kernels", info["kernels"]),
    ]


def layer_table(info: dict[str, Any]) -> str:
    titles = ["layer", "shape", "layout", "dtype", "density", "weights", "bytes"]
    rows: list[list[object]] = [[*titles]]
    for layer in info["layers"]:
        rows.append(
            [
                layer["name"],
                f"{layer['rows']} x {layer['cols']}",
                layer["block"],
                layer["dtype"],
                f"{layer['density']:.1%}",
                layer["stored_weights"],
                layer["bytes"],
            ]
        )
    total = sum(layer["bytes"] for layer in info["layers"])
    rows.append(["total", "", "", "", "", info["stored_weights"], total])
    return table(rows, left=4)


def program_table(operations: list[OperationFacts]) -> str:
    """Operations down; buffers as name offset[floats], rows of a frame as offset+stride i."""
    titles = ["", "operation", "tensor", "shape", "layout", "buffers"]
    rows: list[list[object]] = [[*titles, "weights", "bytes", "multiply-adds/sample"]]
    for op in operations:
        rows.append(
            [
                op.number,
                op.operation,
                op.tensors[0] if op.tensors else "",
                op.shape,
                op.layout,
                ", ".join(map(str, op.extents)),
                op.stored_weights or "",
                op.bytes or "",
                f"{op.multiply_adds:.0f}" if op.multiply_adds else "",
            ]
        )
    total = sum(op.multiply_adds for op in operations)
    rows.append(["", "total", *[""] * 6, f"{total:.0f}"])
    return table(rows, left=6)


def program_line(op: Operation, file: VoiceFile) -> str:
    """One operation as text: its name, its tensors by name, its places in the arena."""
    words = [op.name]
    for name, value in vars(op).items():
        if value is None or (name == "activation" and value == 0):
            continue
        if isinstance(value, Operand):
            value = f"@{value.offset}" + (f"+{value.stride}i" if value.stride else "")
        elif name in op.tensors:
            value = file.tensors[value].name
        elif isinstance(value, float):
            value = f"{value:.6g}"
        words.append(f"{name}={value}")
    return " ".join(words)
