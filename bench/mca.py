"""What llvm-mca predicts of the NEON kernels: `make mca`, or `python bench/mca.py [-o OUT.json]`.

The kernels are compiled as linnet compiles them, by Debian's cross compiler; the innermost loops
that come out are given to llvm-mca, with everything in the L1 cache and every branch predicted.
The first table is cycles per 16 weights (products; of several together, for each vector), per unit
(gates) and per class (exponentials); the second adds them up over one sample of the real 1024-unit
model: loops only, without what surrounds them (starts and ends of rows, the draws, the calls). The
third is the same of the network of `linnet bench subscale`, without sub-tensors and in sixteen,
whose products take four vectors together; those of eight are two times four.
Predictions, not measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from linnet.format.operations import Draw, Gates, Linear
from linnet.format.reading import read
from linnet.format.voice_file import VoiceFile
from linnet.table import table
from linnet_bench.subscale import Network, random_voice
from linnet_export import export, restore
from linnet_export.families.workload import SAMPLE_RATE

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("LINNET_TEST_DATA", ROOT.parent / "shared" / "data"))
SLT = ROOT / "voices" / "slt.linnet"
MODEL = DATA / "lyra-sparse-wavernn-1024" / "wavernn_1024_95_4x4.npz"
COMPILER = "aarch64-linux-gnu-g++"
FLAGS = "-std=c++17 -O2 -DNDEBUG -fPIC -ffp-contract=off -fno-math-errno".split()

FILES = "neon neon_matvecs neon_int8 neon_dotprod neon_dotprod_matvecs neon_i8mm".split()
# Neoverse N1 stands for Cortex-A76 to X1. Models that llvm borrows from another core are left out.
CPUS = ["cortex-a55", "cortex-a510", "neoverse-n1", "neoverse-n2", "neoverse-v1", "neoverse-v2"]
ITERATIONS = 200
# Names of kernels as c++filt writes them -> what this report calls them.
WEIGHTS = {"ScaledFp16": "fp16", "Fp16": "fp16 neon_little", "Bf16": "bf16", "Fp32": "fp32"}
PRODUCT = re.compile(
    r"void [\w:() ]*::(matvec|multiply(?=_\d))_(\w+)"
    r"<[\w:() ]*::(\w+)(?:, unsigned (\w+)(?:, (\d)ul)?)?>\("
)
# Products of int8 by dot products, or by a struct of instructions; those of four together, by dot
# products; and of eight, by neon_i8mm.
INT8 = re.compile(
    r"void [\w:() ]*::(?:int8|matvec)_(\w+)<(?:[\w:() ]*::(Sdot|Mull))?"
    r"(?:, )?(?:unsigned (\w+))?>\("
)
INT8_TOGETHER = re.compile(
    r"[\w:() ]*::(?:multiply_(\dx\d)<unsigned (\w+)>\(|"
    r"in_groups<4ul, &[\w:() ]*::multiply_(dense),)"
)
INT8_EIGHT = re.compile(r"[\w:() ]*::add_(\w+?)(?:<unsigned (\w+)>)?\(")
# Holds the dense loop.
DENSE_FP16 = re.compile(
    r"void [\w:() ]*::matvec_fp16<&\(void [\w:() ]*::matvec_dense<[\w:() ]*::ScaledFp16>"
)
FUNCTION = re.compile(r"\w+ [\w:() ]*::(gates|exponentials)<[\w:() ]*>\(")
# Multiply-adds of one unit (three exponentials, tanh, two products) and of one class.
FMAS = {"gates": 30, "exponentials": 9}

Cycles = dict[str, float]  # CPU -> cycles


def assembly() -> str:
    """The assembly of the NEON kernels, with readable names."""
    compiled = b""
    for name in FILES:
        source = ROOT / "src_cpp" / "kernels" / "arm" / f"{name}.cpp"
        command = [COMPILER, *FLAGS, f"-I{ROOT / 'src_cpp'}", "-S", str(source), "-o", "-"]
        compiled += subprocess.run(command, check=True, capture_output=True).stdout
    demangled = subprocess.run(
        ["aarch64-linux-gnu-c++filt"], input=compiled, check=True, capture_output=True
    )
    return demangled.stdout.decode()


def functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of every function."""
    for match in re.finditer(
        r"^\t\.type\t([^\n]+), [%@]function\n(.*?)^\t\.size\t", text, re.M | re.S
    ):
        yield match[1], match[2].splitlines()


def innermost_loops(lines: list[str]) -> Iterator[list[str]]:
    """The instructions of every loop that holds no label: from a label to a branch back to it."""
    label, start = "", 0
    for i, line in enumerate(lines):
        if found := re.match(r"\s*(\.L\w+|\d):", line):
            label, start = found[1], i + 1
        elif label and re.match(rf"\s*(b\.?\w*|cbn?z|tbn?z|j\w+)\s.*{re.escape(label)}b?$", line):
            loop = [text for text in lines[start:i] if not text.lstrip().startswith((".", "#"))]
            yield [*loop, re.sub(r"\db$", ".Lloop", line)]


def count(instruction: str, loop: list[str]) -> int:
    return sum(re.match(rf"\s*{instruction}\b", line) is not None for line in loop)


def predict(loop: list[str], cpu: str, machine: str = "aarch64") -> float:
    """Cycles of one iteration."""
    options = [f"-mtriple={machine}", f"-mcpu={cpu}", f"-iterations={ITERATIONS}"]
    if machine == "aarch64":
        options.append("-mattr=+dotprod,+i8mm")
    done = subprocess.run(
        ["llvm-mca-19", *options], input="\n".join(loop), check=True, capture_output=True, text=True
    )
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert found is not None
    return int(found[1]) / ITERATIONS


def multiplied(loop: list[str]) -> float:
    """Sixteens of int8 weights that a loop multiplies."""
    return 2 * count("smmla", loop) + count("sdot", loop) + count(r"sm(ul|la)l2?", loop) / 2


def int8_kernel(name: str) -> str | None:
    """What this report calls a function of int8, of u8 indices."""
    if (product := INT8.match(name)) and product[3] != "short":
        return f"{product[1]} int8" + (" neon" if product[2] == "Mull" else "")
    if (product := INT8_TOGETHER.match(name)) and product[2] != "short":
        return f"{product[1] or product[3]} int8 together"
    if (product := INT8_EIGHT.match(name)) and product[2] != "short":
        return f"{product[1]} int8 together, neon_i8mm"
    return None


def predictions() -> dict[str, Cycles]:
    """Kernel -> cycles of the loop that does most: per 16 weights, per unit, per class."""
    result: dict[str, Cycles] = {}
    for name, lines in functions(assembly()):
        loops = list(innermost_loops(lines))
        if product := PRODUCT.match(name):
            how, layout, weights, index, halves = product.groups()
            if halves == "2":
                layout = "8x4"
            if index == "short":  # the loops of u8 indices again
                continue
            if how == "multiply":  # of four vectors together; each counts
                kernel = f"{layout} {WEIGHTS[weights].split()[0]} together"
            else:
                kernel = f"{layout} {WEIGHTS[weights]}"
        elif int8 := int8_kernel(name):
            loop = max(loops, key=multiplied)
            result[int8] = {cpu: predict(loop, cpu) / multiplied(loop) for cpu in CPUS}
            continue
        elif DENSE_FP16.match(name):
            kernel = "dense fp16"
            loops = [loop for loop in loops if not count(r"fcvtl2?", loop)]
        elif function := FUNCTION.match(name):
            kernel = function[1]
        else:
            continue
        loop = max(loops, key=lambda loop: count("fmla", loop))
        amount = count("fmla", loop) * 4 / FMAS.get(kernel, 16)
        result[kernel] = {cpu: predict(loop, cpu) / amount for cpu in CPUS}
    return dict(sorted(result.items()))


def sample_cycles(
    file: VoiceFile, cycles: dict[str, Cycles], dtype: str, together: bool = False
) -> Cycles:
    """Cycles of one sample: the loops of products, gates and exponentials.

    together: of four vectors, where there is such a loop. dtype: what the report calls that of the
    recurrent product; of int8 voices, others are fp16.
    """
    total = dict.fromkeys(CPUS, 0.0)
    for operation in file.sample_program:
        if isinstance(operation, Linear):
            packed = file.tensors[operation.weights].packed
            short = "fp16" if "int8" in dtype and packed.dtype != "int8" else dtype
            kernel, amount = f"{packed.layout} {short}", packed.stored_weights / 16
            if together and f"{kernel} together" in cycles:
                kernel += " together"
        elif isinstance(operation, Gates):
            kernel, amount = "gates", float(operation.units)
        elif isinstance(operation, Draw):
            kernel, amount = "exponentials", float(operation.classes)
        else:
            continue
        for cpu in CPUS:
            total[cpu] += amount * cycles[kernel][cpu]
    return total


def of_each_type(store: Callable[..., object], cycles: dict[str, Cycles]) -> dict[str, Cycles]:
    """Cycles of one sample of a voice by its type; store(out, dtype=...) writes it."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float16", "int8"):
            store(Path(folder) / "voice.linnet", dtype=dtype)
            files[dtype] = read(Path(folder) / "voice.linnet")
    return {
        dtype: sample_cycles(files["int8" if "int8" in dtype else "float16"], cycles, dtype)
        for dtype in ("fp16", "fp16 neon_little", "bf16", "int8", "int8 neon")
    }


def show(title: str, rows: dict[str, Cycles], digits: int) -> None:
    print(title)
    body = [[name, *(f"{row[cpu]:.{digits}f}" for cpu in CPUS)] for name, row in rows.items()]
    print(table([["", *CPUS], *body]))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    output = parser.parse_args().output
    kernels = predictions()
    show("Predicted cycles per 16 weights, per unit (gates), per class (exponentials)", kernels, 2)
    report: dict[str, dict[str, Cycles]] = {"kernels": kernels}
    if MODEL.exists():
        report["sample"] = of_each_type(partial(export, MODEL), kernels)
        show("Predicted cycles per sample of the real model", report["sample"], 0)
        rate = SAMPLE_RATE
        megahertz = {
            name: {cpu: value * rate / 1e6 for cpu, value in row.items()}
            for name, row in report["sample"].items()
        }
        show(f"The clock in MHz that this takes for real time at {rate} Hz", megahertz, 0)
    else:
        print(f"no {MODEL.name}: cycles per sample are left out")
    report["slt"] = of_each_type(partial(restore, SLT), kernels)
    show("Predicted cycles per sample of the bundled voice slt", report["slt"], 0)
    report["subscale"] = {
        name: sample_cycles(read(random_voice(Network(), b)), kernels, "fp16", b > 1)
        for name, b in (("without sub-tensors", 1), ("16 sub-tensors", 16))
    }
    show("Predicted cycles per sample of the network in sub-tensors", report["subscale"], 0)
    print("llvm-mca's models, not measurements; the one of the Cortex-A55 is wrong for `ldp q`.")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
