"""Which package may import which, and that no modules import each other in a circle."""

from __future__ import annotations

from native import ROOT
from structure import PACKAGES, circles, imports, modules

# What a package may import besides itself. The runtime stands alone.
MAY_IMPORT = {
    "linnet": set(),
    "linnet_bench": {"linnet"},
    "linnet_export": {"linnet"},
    "linnet_training": {"linnet", "linnet_export"},
}
# Commands that need another package, which they import when they run.
LATER = {
    ("linnet.cli.export", "linnet_export"),
    ("linnet.cli.bench", "linnet_bench"),
    ("linnet_bench.subscale", "linnet_export"),
}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


def test_packages_import_only_what_they_stand_on() -> None:
    known = modules()
    wrong = []
    for name, file in known.items():
        package = name.split(".")[0]
        for module, at_once in imports(file, known):
            other = module.split(".")[0]
            if other not in PACKAGES or other in {package, *MAY_IMPORT[package]}:
                continue
            if at_once or (name, other) not in LATER:
                wrong.append(f"{name} imports {module}")
    assert wrong == []


def test_the_public_header_stays_short() -> None:
    header = ROOT / "src_cpp" / "include" / "linnet.h"
    assert len(header.read_text(encoding="utf-8").splitlines()) < 200
