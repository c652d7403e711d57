"""Benchmarks: what is compared, what is written, and that profiling changes no bit. Never times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
import linnet_bench
import mca
from linnet import _hooks
from linnet.cli import main
from linnet_bench import matvec, sample, sweep, timing
from linnet_bench.matvec import Case, Measured
from linnet_bench.products import random_weights, vector
from linnet_bench.sweep import Sweep
from varied_voices import varied_voices
from voices import SUBSCALE, tiny_voice

VOICE_BYTES = tiny_voice()


@pytest.fixture(autouse=True)
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds too short to measure anything, in an empty working directory with a voice."""
    monkeypatch.setattr(timing, "ROUND_SECONDS", 1e-6)
    monkeypatch.setattr(timing, "ROUNDS", 3)
    monkeypatch.setattr(timing, "RETRIES", 0)
    monkeypatch.setattr(sample, "PROFILE_SECONDS", 1e-4)
    monkeypatch.chdir(tmp_path)
    Path("voice.linnet").write_bytes(VOICE_BYTES)


def results(name: str) -> Any:
    """The results in NAME.json, which says where they come from and has a picture beside it."""
    written = json.loads(Path(f"{name}.json").read_text())
    assert written["machine"]["cpu"] and written["machine"]["flags"]
    assert {"linnet", "python", "numpy"} <= set(written["versions"])
    assert {"commit", "command", "date", "kernels"} <= set(written)
    assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return written["results"]


@pytest.mark.parametrize("kernels", linnet.kernels())
@pytest.mark.parametrize("lookahead", [0, 1])
def test_profiling_changes_no_bit_and_names_every_operation(kernels: str, lookahead: int) -> None:
    data = tiny_voice(kernels=(3,) if lookahead else (1,))
    voice = linnet.load(data, kernels=kernels)
    assert voice.lookahead == lookahead
    mel = np.random.default_rng(0).random((10, 6), np.float32)
    profiled = _hooks.profile(data, mel.T.copy(), 5, kernels)
    whole = voice.synthesize(mel, seed=5)
    np.testing.assert_array_equal(profiled["samples"], whole[: (6 - lookahead) * 20])

    file = voice.file()
    profile = linnet_bench.profile(voice)
    assert profile.kernels == kernels
    assert [part.program for part in profile.parts].count("frame") == len(file.frame_program)
    sample_parts = [part.operation for part in profile.parts if part.program == "sample"]
    assert len(sample_parts) == len(file.sample_program)
    recurrent = f"linear gru.recurrent 96 x 32 {file.tensor('gru.recurrent').layout}"
    assert recurrent in sample_parts and sample_parts[-1] == "output"
    assert all(part.microseconds >= 0 for part in profile.parts)
    assert profile.sum == pytest.approx(sum(part.microseconds for part in profile.parts))


def test_a_profile_names_the_match() -> None:
    voice = linnet.load(varied_voices()["matched-thrice"])
    profile = linnet_bench.profile(voice, seconds=0.05)
    (match,) = [part for part in profile.parts if part.program == "after"]
    assert match.operation == "match 3 x 64"
    assert 0 < match.microseconds < profile.microseconds


@pytest.mark.parametrize("command", ["bench sample voice.linnet", "bench voice.linnet"])
def test_bench_sample_writes_speeds_and_profiles(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    pytest.importorskip("matplotlib")
    assert main([*command.split(), "-o", "speed"]) == 0
    written = results("speed")
    assert [speed["kernels"] for speed in written["speeds"]] == linnet.kernels()
    for speed in written["speeds"]:
        assert speed["times_real_time"] == pytest.approx(speed["samples_per_second"] / 16000)
    assert [profile["kernels"] for profile in written["profiles"]] == linnet.kernels()
    text = capsys.readouterr().out
    for figure in ("x real time", "sum / whole", "stream limit", "gates 16"):
        assert figure in text


def test_bench_matvec_measures_every_set_and_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("scipy")
    cases = [Case(32, 32, 0.0, "dense"), Case(32, 32, 0.75, "1x1"), Case(32, 32, 0.75, "4x4")]
    monkeypatch.setattr(matvec, "paper_cases", lambda: cases)
    monkeypatch.setattr(matvec, "gru_cases", lambda: [Case(48, 16, 0.5, "16x1")])
    assert main(["bench", "matvec", "-o", "products"]) == 0
    found = results("products")["products"]
    assert [(r["rows"], r["block"]) for r in found] == [
        (32, "dense"), (32, "1x1"), (32, "4x4"), (48, "16x1"),
    ]  # fmt: skip
    for result in found:
        alternatives = result["alternatives"]
        for kernels in linnet.kernels():
            for dtype in ("fp16", "bf16", "fp32"):
                ours = alternatives[f"{kernels} {dtype}"]
                limit = result["stream_limit_seconds"][dtype]
                assert ours["of_stream_limit"] == pytest.approx(limit / ours["seconds"])
                assert ours["gflops"] == pytest.approx(2e-9 * result["nonzeros"] / ours["seconds"])
        assert "numpy" in alternatives and "of_stream_limit" not in alternatives["numpy"]
        assert ("scipy CSR" in alternatives) == (result["block"] != "dense")
        assert ("scipy BSR" in alternatives) == (result["block"] in ("4x4", "16x1"))
    assert "32 x 32 75.0% 4x4" in capsys.readouterr().out


def test_the_cases_are_the_papers() -> None:
    cases = [*matvec.paper_cases(), *matvec.gru_cases()]
    assert len(cases) == 3 + 9 + 36 == len(set(cases))
    for sparse, dense in matvec.SAME_WEIGHTS.items():
        (sparsity,) = (s for size, s in matvec.PAPER_SPARSE if size == sparse)
        assert (1 - sparsity) * sparse**2 == pytest.approx(dense**2, rel=0.05)


@pytest.mark.parametrize("block", ["1x1", "4x4", "16x1"])
def test_random_weights_have_the_sparsity_asked_for(block: str) -> None:
    assert np.mean(random_weights(64, 64, 0.75, block) != 0) == pytest.approx(0.25, abs=1e-3)


def test_the_rivals_multiply_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    from linnet_bench import rivals

    products: list[Any] = []

    def kept(work: Callable[[], Any]) -> Any:
        products.append(work)
        return lambda repeats: 1.0

    monkeypatch.setattr(rivals, "timer", kept)
    weights = random_weights(32, 16, 0.5, "4x4")
    assert len(rivals.rivals(weights, "4x4")) == len(products)
    x = vector(16)
    expected = np.dot(weights.astype(np.float64), x)
    bound = 16 * 2.0**-23 * np.dot(np.abs(weights), np.abs(x))
    for product in products:
        assert (np.abs(np.ravel(product()) - expected) <= bound).all()


def test_claims_compare_what_the_paper_compares() -> None:
    def measured(size: int, sparsity: float, block: str, seconds: float, csr: float) -> Measured:
        nnz = round((1 - sparsity) * size**2)
        times = {"avx2 fp16": seconds, "scipy CSR": csr}
        return Measured(Case(size, size, sparsity, block), nnz, times, {"fp16": 1.0})

    found = matvec.claims(
        [
            measured(224, 0.0, "dense", 1.0, 0.0),
            measured(1024, 0.0, "dense", 40.0, 0.0),
            measured(1024, 0.95, "1x1", 40.0, 8.0),
            measured(1024, 0.95, "4x4", 2.0, 9.0),
            measured(1024, 0.95, "16x1", 1.6, 9.0),
        ],
        "avx2",
    )
    same_weights = 52429 / 50176
    expected = [[same_weights / 2, same_weights / 1.6], [20.0, 25.0], [1.25], [4.0]]
    for (_, ratios, _), values in zip(found, expected, strict=True):
        assert ratios == pytest.approx(values)


def test_bench_subscale_writes_all_numbers_of_threads_beside_the_plain_network(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    command = "bench subscale --units 16 --sparsity 0.5 --look 8 --sub-tensors 2 4 --threads 2"
    assert main([*command.split(), "-o", "subscale"]) == 0
    written = results("subscale")
    assert written["network"]["units"] == 16 and written["network"]["look"] == 8
    speeds = written["speeds"]
    cases = [(b, n) for b in (1, 2, 4) for n in (1, 2)]
    assert [(t["sub_tensors"], t["threads"]) for t in speeds] == cases
    assert speeds[0]["against_plain"] == 1 and speeds[2]["against_one"] == 1
    assert speeds[5]["against_one"] == speeds[4]["microseconds"] / speeds[5]["microseconds"]
    assert "WaveRNN of 16 units, 50% sparse" in capsys.readouterr().out


@pytest.mark.parametrize("sub_tensors", [3, 8])
def test_a_profile_of_sub_tensors_changes_no_bit(sub_tensors: int) -> None:
    config = {"network": {"sub_tensors": sub_tensors, "future": 1, "past": 0}}
    config["features"] = {"hop_length": 24}
    data = tiny_voice(architecture=SUBSCALE, config=config)
    voice = linnet.load(data)
    mel = np.random.default_rng(0).random((10, 12), np.float32)
    profiled = _hooks.profile(data, mel.T.copy(), 5, voice.kernels)
    n = (12 - voice.lookahead) * 24
    np.testing.assert_array_equal(profiled["samples"], voice.synthesize(mel, seed=5)[:n])
    profile = linnet_bench.profile(voice, seconds=0.05)
    names = [part.operation for part in profile.parts if part.program == "sample"]
    assert names[0] == f"subscale {sub_tensors}, 1 ahead" and names[-1] == "output"


def test_bench_sweep_writes_times_and_crossovers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sweep, "SPARSITIES", (0.0, 0.5, 0.75))
    assert main("bench sweep --rows 32 --cols 16 --dtype bfloat16 -o sweep".split()) == 0
    written = results("sweep")
    assert (written["rows"], written["cols"], written["dtype"]) == (32, 16, "bfloat16")
    assert {"linnet dense", "linnet 4x4", "linnet 16x1", "numpy"} <= set(written["seconds"])
    assert all(len(seconds) == 3 for seconds in written["seconds"].values())
    assert "75.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "crossover"),
    [
        ([4.0, 2.0, 0.5], 0.6),  # 2 -> 0.5 meets 1 at two thirds
        ([0.5, 0.5, 0.5], 0.0),
        ([0.5, 2.0, 0.5], 0.6),  # the last crossing counts
        ([4.0, 3.0, 2.0], None),
    ],
)
def test_a_crossover_is_where_sparse_stays_faster(
    seconds: list[float], crossover: float | None
) -> None:
    times = {"linnet 4x4": seconds, "linnet dense": [1.0, 1.0, 1.0]}
    found = Sweep(4, 4, "float16", "avx2", [0.0, 0.4, 0.7], times).crossovers()
    assert found == {"linnet 4x4": {"linnet dense": pytest.approx(crossover)}}


def test_a_quick_product_prints_its_figures_and_writes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main("bench matvec --rows 40 --cols 30 --kernels portable".split()) == 0
    text = capsys.readouterr().out
    assert "40 x 30" in text and "kernels       portable" in text
    for figure in ("sparse", "stream limit", "linnet dense", "numpy dense"):
        assert f"\n{figure} " in text
    assert [path.name for path in Path().iterdir()] == ["voice.linnet"]


@pytest.mark.parametrize("command", ["matvec --rows 40 --cols 30", "sample voice.linnet", "sweep"])
def test_json_goes_to_stdout_alone(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SPARSITIES", (0.0, 0.75))
    words = ["--rows", "32", "--cols", "16"] if command == "sweep" else []
    assert main(["bench", *command.split(), *words, "--json", "-"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["machine"]["cpu"] and written["results"]
    assert [path.name for path in Path().iterdir()] == ["voice.linnet"]
    assert main(["bench", *command.split(), *words, "--json", "figures.json"]) == 0
    assert set(json.loads(Path("figures.json").read_text())) == set(written)
    assert "figures.json" in capsys.readouterr().out


def test_a_spent_time_limit_leaves_one_round(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("bench matvec --rows 40 --cols 30 --time-limit 0.000001".split()) == 0
    assert "1 rounds of 3 at least;" in capsys.readouterr().out
    budget = timing.Budget(1000, 4)
    first = budget.share()
    assert 200 < first - time.perf_counter() <= 250
    assert timing.Budget(0, 4).share() == float("inf")
    assert str(budget) == ""


def test_a_spent_time_limit_leaves_matrices_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    monkeypatch.setattr(matvec, "paper_cases", lambda: [Case(32, 32, 0.75, "4x4")] * 3)
    monkeypatch.setattr(matvec, "gru_cases", lambda: [])
    monkeypatch.setattr(sweep, "SPARSITIES", (0.0, 0.5, 0.75))
    for words in ("matvec", "sweep --rows 32 --cols 16"):
        assert main(["bench", *words.split(), "--time-limit", "1e-6", "--json", "out.json"]) == 0
        assert "and 2 measurements left out" in capsys.readouterr().out
    assert len(json.loads(Path("out.json").read_text())["results"]["sparsities"]) == 1


def test_alternatives_take_turns_and_give_medians() -> None:
    turns: list[str] = []
    figures = iter([0.0, 0.0, 1.0, 10.0, 5.0, 30.0, 2.0, 20.0])

    def alternative(name: str) -> timing.Timer:
        def run(repeats: int) -> float:
            turns.append(name)
            return next(figures)

        return run

    times = timing.interleaved({name: alternative(name) for name in "ab"})
    assert times == {"a": 2.0, "b": 20.0}
    assert turns == ["a", "b"] * 4


def test_mca_takes_the_innermost_loops_as_compiled() -> None:
    assembly = """\
\t.type\tsums(float const*), %function
sums(float const*):
.L2:
\tmov\tw1, 4
.L3:
\t.loc 1 2
\tfmla\tv0.4s, v1.4s, v2.4s
\tcbnz\tw1, .L3
\tb.ne\t.L2
\tret
\t.size\tsums(float const*), .-sums(float const*)
"""
    [(name, lines)] = mca.functions(assembly)
    assert name == "sums(float const*)"
    [loop] = mca.innermost_loops(lines)
    assert [line.split()[0] for line in loop] == ["fmla", "cbnz"]
    assert mca.count("fmla", loop) == 1
