"""What llvm-mca predicts of the int8 kernels on an x86 CPU with AVX-VNNI, which was not at hand:
`make mca`, or `python bench/mca_x86.py`.

Cycles per 16 weights (of four vectors together: for each vector) of the innermost loops as this
machine's compiler makes them, on the large cores of an Alder Lake. Predictions, not measurements.
"""

from __future__ import annotations

import re
import subprocess

from linnet.table import table
from mca import FLAGS, ROOT, count, functions, innermost_loops, predict

COMPILER = "g++"
CPU = "alderlake"
SETS = {"avx2": "avx2_int8", "avx_vnni": "avx_vnni"}  # kernel set -> its file
KERNEL = re.compile(
    r"void [\w:() ]*::int8_(\w+?)(_of_all)?<[\w:() ]*::\w+(?:, (?:unsigned )?(\w+))?"
)
# Sixteens of weights in a step of the loop, those of four vectors counted four times.
STEP = {"4x4": 8, "8x4": 8, "1x16": 4, "dense": 8, "4x4 together": 8, "8x4 together": 8}


def assembly(file: str) -> str:
    """The assembly of a file of kernels, with readable names."""
    source = ROOT / "src_cpp" / "kernels" / "x86" / f"{file}.cpp"
    command = [COMPILER, *FLAGS, f"-I{ROOT / 'src_cpp'}", "-S", str(source), "-o", "-"]
    compiled = subprocess.run(command, check=True, capture_output=True).stdout
    readable = subprocess.run(["c++filt"], input=compiled, check=True, capture_output=True)
    return readable.stdout.decode()


def predictions(kernels: str) -> dict[str, float]:
    """Kernel -> cycles per 16 weights."""
    result: dict[str, float] = {}
    for name, lines in functions(assembly(SETS[kernels])):
        found = KERNEL.match(name)
        if found is None or found[3] == "short" or "clone" in name:
            continue
        kernel = found[1] + (" together" if found[2] else "")
        if kernel in STEP:
            loop = max(innermost_loops(lines), key=lambda loop: count(r"v\w+", loop))
            result[kernel] = predict(loop, CPU, "x86_64") / STEP[kernel]
    return result


def main() -> None:
    found = {kernels: predictions(kernels) for kernels in SETS}
    print(f"Predicted cycles per 16 int8 weights, {CPU}")
    body = [[kernel, *(f"{found[name][kernel]:.2f}" for name in SETS)] for kernel in STEP]
    print(table([["", *SETS], *body]))


if __name__ == "__main__":
    main()
