"""linnet-train: prepare | run | evaluate | phases | study."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import linnet
from linnet.errors import install, one_line
from linnet_training import config as configuration


def prepare(arguments: argparse.Namespace) -> None:
    from linnet_training.data.preparation import prepare as prepare_data

    config = configuration.load(arguments.config)
    data = config.data
    index = prepare_data(
        Path(data.wavs),
        Path(data.prepared),
        config.features,
        data.held_out,
        data.pad_seconds,
        data.trim_db,
        data.held_out_speakers,
        data.per_speaker,
        data.seconds,
        data.peak,
        strict=arguments.strict,
    )
    speakers = len(set(index["speakers"].values()))
    print(
        f"{index['seconds'] / 60:.1f} minutes of {speakers} speakers in {data.prepared}; of these "
        f"{index['held_out_seconds'] / 60:.1f} held out ({len(index['held_out'])} utterances) and "
        f"{index['unseen_seconds'] / 60:.1f} of speakers not trained on ({len(index['unseen'])})"
    )
    if index["silent"]:
        print(f"left out, without any sound: {', '.join(index['silent'])}")
    for problem in index["left_out"].values():
        print(f"left out: {problem}", file=sys.stderr)


def run(arguments: argparse.Namespace) -> None:
    from linnet_training.loops.starting import start

    config = configuration.load(arguments.config)
    changes: dict[str, float | int | str] = {}
    if arguments.hours:
        changes |= {"hours": arguments.hours, "steps": 0}
    if arguments.steps:
        changes["steps"] = arguments.steps
    if arguments.device:
        changes["device"] = arguments.device
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))  # type: ignore[arg-type]
    trainer = start(config, arguments.folder or Path("runs") / config.name)
    trainer.run()
    print(trainer.pruner.report())
    print(f"step {trainer.step}, {trainer.progress:.0%} done")
    print(json.dumps(trainer.notes, indent=1))


def evaluate(arguments: argparse.Namespace) -> None:
    from linnet_training.measures import evaluate as evaluation
    from linnet_training.measures.lpcnet import LPCNet
    from linnet_training.measures.recognition import Recogniser

    config = configuration.load(arguments.config)
    voice = evaluation.open_voice(arguments.voice)
    out = sys.stderr if str(arguments.json) == "-" else sys.stdout
    result = evaluation.evaluate(
        voice,
        Path(config.data.prepared),
        arguments.utterances,
        lambda line: print(line, flush=True, file=out),
        arguments.temperature,
        Recogniser() if arguments.words else None,
        arguments.clips,
        LPCNet(arguments.lpcnet) if arguments.lpcnet else None,
    )
    if str(arguments.json) == "-":
        print(json.dumps(result, indent=1))
        return
    print(evaluation.markdown(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def phases(arguments: argparse.Namespace) -> None:
    from linnet_training.data.phases import of_prepared

    config = configuration.load(arguments.config)
    found = of_prepared(Path(config.data.prepared), arguments.recordings)
    print(f"phases = [{', '.join(f'{turns:.5f}' for turns in found)}]")


def study(arguments: argparse.Namespace) -> None:
    from linnet_training.measures import study as studies

    plan = studies.load(arguments.config)
    folder = arguments.folder or Path("runs") / plan.config.name
    results = studies.conduct(plan, folder, arguments.seeds)
    print(f"{len(results)} of {len(list(plan))} runs done: {folder / 'results.csv'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="linnet-train", description=__doc__)
    parser.add_argument("--version", action="version", version=f"linnet {linnet.__version__}")
    commands = parser.add_subparsers(required=True)
    sub = commands.add_parser("prepare", help="wav files -> features and split")
    sub.add_argument("config", type=Path)
    sub.add_argument("--strict", action="store_true", help="stop at a file that cannot be used")
    sub.set_defaults(function=prepare)
    sub = commands.add_parser("run", help="train, or continue after an interruption")
    sub.add_argument("config", type=Path)
    sub.add_argument("--folder", type=Path, help="default: runs/NAME")
    sub.add_argument("--hours", type=float, help="length of the training, instead of the config's")
    sub.add_argument("--steps", type=int, help="the same in updates")
    sub.add_argument("--device", help="cpu or cuda")
    sub.set_defaults(function=run)
    sub = commands.add_parser("evaluate", help="resynthesis of the held-out utterances")
    sub.add_argument("voice", type=Path, help="a .linnet, or a run's folder or model.pt")
    sub.add_argument("--config", type=Path, required=True)
    sub.add_argument("--temperature", type=float, default=1.0, help="of the draws")
    sub.add_argument("--utterances", type=int, default=0, help="only the first so many")
    sub.add_argument("--words", action="store_true", help="count a recogniser's errors, too")
    sub.add_argument("--clips", type=Path, help="a folder for what is heard, as FLAC files")
    sub.add_argument("--lpcnet", type=Path, help="Debian's libcodec2.so.1.0, to compare with")
    sub.add_argument("--json", type=Path, help="all figures, too; - for stdout, alone")
    sub.set_defaults(function=evaluate)
    sub = commands.add_parser("phases", help="of the harmonics of a source-filter's [model]")
    sub.add_argument("config", type=Path)
    sub.add_argument("--recordings", type=int, default=200, help="of the training; 0: all")
    sub.set_defaults(function=phases)
    sub = commands.add_parser("study", help="equally many weights, dense and sparse; resumes")
    sub.add_argument("config", type=Path)
    sub.add_argument("--folder", type=Path, help="default: runs/NAME")
    sub.add_argument("--seeds", type=int, nargs="+", help="only these: one process per core")
    sub.set_defaults(function=study)
    options = parser.parse_args(arguments)
    try:
        options.function(options)
    except ModuleNotFoundError as error:
        if (error.name or "linnet").startswith("linnet"):
            raise
        needs = f"linnet-train needs {error.name}, of linnet[train]: {install('train')}"
        print(needs, file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"linnet-train: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
