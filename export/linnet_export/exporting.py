"""Turns a checkpoint file into a `.linnet` file, and reports about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

import linnet
from linnet.files import require_apart, write_atomic
from linnet.format.blocks import VECTOR
from linnet.format.reading import read
from linnet.format.tensor import Tensor
from linnet.format.voice_file import VoiceFile
from linnet_export.building.ranges import with_input_ranges
from linnet_export.config import load_table, merge, read_matching, read_rounds, read_types
from linnet_export.families import known as families
from linnet_export.families.hparams import from_coqui
from linnet_export.matching import matched, without
from linnet_export.names import rename
from linnet_export.parametrisations import whole_weights
from linnet_export.prefixes import without_prefix
from linnet_export.quantising import Effect, calibrated, rounding_error
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.errors import blamed_on
from linnet_export.readers.reading import read_checkpoint
from linnet_export.reporting import Report, cost_of, report
from linnet_export.writing.storage import Layer, Storage
from linnet_export.writing.writer import to_bytes

PathLike = str | os.PathLike[str]


def export(
    checkpoint_path: PathLike,
    out_path: PathLike,
    *,
    block: str | None = None,
    sparsity: float | None = None,
    dtype: str | None = None,
    keep: Mapping[str, str] | None = None,
    names: PathLike | Mapping[str, str] | None = None,
    config: PathLike | Mapping[str, Any] | None = None,
    preset: str | None = None,
    temperature: float | None = None,
    matching: int | None = None,
    rounds: int | None = None,
    calibrate: PathLike | None = None,
    score: PathLike | None = None,
    mel: npt.ArrayLike | None = None,
    name: str | None = None,
    key: str | None = None,
    max_unpacked: int | None = None,
) -> Report:
    """Turn a checkpoint into a `.linnet` file, which appears whole or not at all.

    checkpoint_path: .pt or .pth of torch.save, .safetensors, .npz, .onnx, model.bin of
        geneing/WaveRNN-Pytorch, or the folder of Lyra v1's generator. (A finished voice is for
        `rematch`.)
    block: block shape of the prunable layers ("4x4", "8x4", "16x1", "1x16", "1x4", "dense"); None
        reads it from the zeros.
    sparsity: prune these layers by block magnitude to this share of zero blocks; needs a block.
    dtype: "float16", "bfloat16", "float32" or "int8", or "fp16" and so on; None takes the
        config's, or "float16".
    keep: types of layers that are stored in another one, by name or pattern ("O2", "conv.*"); these
        go over the config's table `keep`.
    names: a TOML or JSON file (or a mapping) from our tensor names to the checkpoint's, as
        `linnet_export.names` says.
    config: a TOML or JSON file (or a mapping) whose keys supplement or override the checkpoint's.
    preset: a project whose published hyperparameters the checkpoint has: "fatchord", "torchaudio",
        "coqui" or "real-time-voice-cloning"; `hparams` of the config go over them.
    temperature: divides the logits, in the weights of the last layer: drawing at temperature 1 from
        the voice is drawing at this one from the network. None takes the config's, or 1.
    matching: 0 .. 16 frames of the samples that each hop brings nearer to their features, the
        newest first. It makes samples later, by a window less two hops and a hop per frame. None
        takes the config's, or 0.
    rounds: 1 .. 16 times this is done at each hop. None takes the config's `matching_rounds`, or 1.
    calibrate: a wav file; int8 matrices are then rounded so that their sums on it change least, and
        the report tells by how much they do. Needs the extra `reference`.
    score: a wav file; the report then tells what pruning and rounding cost on it, also by layer.
    mel: the features (n_mels, n_frames) of both files; None computes them.
    name: the voice's name; the config's or the file's otherwise.
    key, max_unpacked: which of its tensors, and how many bytes they may be, as `read_checkpoint`
        takes them.

    Raises CheckpointError (a ValueError) for a checkpoint that cannot be read or makes no voice,
    ValueError for other arguments that do not fit, OSError from the system.
    """
    path = Path(checkpoint_path)
    files = [f for f in (names, config) if isinstance(f, (str, os.PathLike))]
    require_apart([out_path], [path, score, calibrate, *files])
    own_names, overrides = _table(names), _table(config)
    checkpoint = read_checkpoint(path, key, max_unpacked)
    given = {"temperature": temperature, "matching": matching, "matching_rounds": rounds}
    overrides = {**overrides, **{k: v for k, v in given.items() if v is not None}}
    asked = Storage(dtype or "float16", block, sparsity, keep or {})
    with blamed_on(path):
        checkpoint = prepared(checkpoint, own_names)
        if checkpoint.obstacles:
            raise ValueError("; ".join(checkpoint.obstacles))
        checkpoint = replace(checkpoint, tensors=rename(checkpoint.tensors, own_names))
        whole = merge(from_coqui(checkpoint.config), from_coqui(overrides))
        if preset is not None:
            whole["preset"] = preset
        usual, kept = read_types(whole)
        storage = replace(asked, dtype=dtype or usual, keep={**kept, **asked.keep})
        stem = path.resolve().name if path.is_dir() else path.stem
        build = partial(build_voice, checkpoint, whole, str(name or whole.get("name") or stem))
        voice = build(storage)
        linnet.load(to_bytes(voice))
        pruned = build(Storage("float32", block, sparsity)) if calibrate is not None else voice
    exact = build(Storage("float32")) if score is not None else voice
    return _written(voice, pruned, exact, storage.layers, out_path, calibrate, score, mel)


def _written(
    voice: VoiceFile,
    pruned: VoiceFile,
    exact: VoiceFile,
    layers: list[Layer],
    out_path: PathLike,
    calibrate: PathLike | None,
    score: PathLike | None,
    mel: npt.ArrayLike | None,
) -> Report:
    """Calibrate, score and write a voice, of which `pruned` and `exact` are without rounding."""
    effects: Mapping[str, Effect] = {}
    if calibrate is not None:
        voice, effects = calibrated(voice, pruned, calibrate, mel)
        errors = {name: rounding_error(voice, pruned, name) for name in effects}
        layers = [
            replace(layer, rounding_error=errors.get(layer.name, layer.rounding_error))
            for layer in layers
        ]
        voice = replace(voice, metadata={**voice.metadata, "layers": [asdict(x) for x in layers]})
    data = to_bytes(voice)
    cost = None if score is None else cost_of(voice, exact, score, mel)
    write_atomic(out_path, data)
    return report(voice, layers, os.fspath(out_path), len(data), cost, effects)


def restore(
    voice_path: PathLike,
    out_path: PathLike,
    dtype: str | None = None,
    keep: Mapping[str, str] | None = None,
    calibrate: PathLike | None = None,
    score: PathLike | None = None,
    mel: npt.ArrayLike | None = None,
) -> Report:
    """A finished `.linnet` file with its weights in other types, as in `export`.

    They are rounded a second time: what `score` compares is the voice as it was. dtype None: only
    the layers in `keep` change. Raises FormatError or ValueError for what does not fit, OSError
    from the system.
    """
    require_apart([out_path], [voice_path, score, calibrate])
    before = read(Path(voice_path).read_bytes())
    family = families.of_voice(before)
    usual = {} if dtype is not None else {t.name: t.dtype for t in before.tensors}
    storage = Storage(dtype or "float16", keep={**usual, **(keep or {})})
    storage.spared, exact_layers = (family.spared, family.exact) if family else ((), ())
    network = without(before)
    tensors = tuple(
        tensor
        if tensor.layout == VECTOR or tensor.name in exact_layers
        else Tensor(tensor.name, storage.again(tensor.name, tensor.packed))
        for tensor in network.tensors
    )
    storage.require_kept(keep)
    voice = with_input_ranges(replace(network, tensors=tensors))
    metadata = {**voice.metadata, "layers": storage.metadata()}
    voice, exact = replace(voice, metadata=metadata), network
    if before.match is not None:
        match = before.match
        voice, exact = (matched(v, match.iterations, match.rounds or 1) for v in (voice, network))
    return _written(voice, exact, exact, storage.layers, out_path, calibrate, score, mel)


def rematch(voice_path: PathLike, out_path: PathLike, matching: int, rounds: int = 1) -> Report:
    """A finished `.linnet` file with another `matching` and other `rounds`, as in `export`.

    Its weights stay as they are. out_path may be voice_path: the new file appears whole or not at
    all. Raises FormatError or ValueError for what does not fit, OSError from the system.
    """
    voice = matched(read(Path(voice_path).read_bytes()), matching, rounds)
    data = to_bytes(voice)
    write_atomic(out_path, data)
    known = {field.name for field in fields(Layer)}
    dtypes: dict[Any, str] = {tensor.name: tensor.dtype for tensor in voice.tensors}
    layers = [  # older ones say no type
        Layer(**{"dtype": dtypes.get(layer.get("name"), ""), **layer})
        for layer in voice.metadata.get("layers", [])
        if isinstance(layer, dict) and {"dtype", *layer} == known
    ]
    return report(voice, layers, os.fspath(out_path), len(data), None, {})


def prepared(checkpoint: Checkpoint, names: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint with its weights whole, and named as its network names them.

    names: the names map that will follow. Raises ValueError for parts that do not fit each other.
    """
    return without_prefix(whole_weights(checkpoint), names, families.n_known)


def build_voice(
    checkpoint: Checkpoint, config: Mapping[str, Any], name: str, storage: Storage
) -> VoiceFile:
    """A checkpoint's voice, matched as often as the config says; `storage` collects the report.

    Raises ValueError for an unknown architecture, and for tensors or a config that do not fit it.
    """
    voice = families.build(checkpoint, config, name, storage)
    storage.require_kept()
    return matched(voice, read_matching(config), read_rounds(config))


def _table(source: PathLike | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if source is None:
        return {}
    return source if isinstance(source, Mapping) else load_table(os.fspath(source))
