"""Run tests/test_jni.py on an arm64 JVM under qemu-user: all on one processor, samples on more.

`python tests/jni/arm64.py [CPU=KERNELS ...]`; KERNELS are the kernel sets that must be there, best
first, with commas between them. Needs a JDK, g++-aarch64-linux-gnu, qemu-user and apt-get (Debian),
which fetches the arm64 JVM into build/jre-arm64 without installing it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from native import ROOT, build, run

CPUS = [
    "cortex-a53=neon_little,neon,portable",
    "cortex-a76=neon_dotprod,neon,portable",
    "max,sve=off=neon_i8mm,neon_dotprod,neon,portable",
]
PACKAGES = [
    f"{name}:arm64"
    for name in ("openjdk-17-jre-headless", "libc6", "libstdc++6", "libgcc-s1", "zlib1g")
]
PREFIX = ROOT / "build" / "jre-arm64"
JAVA = PREFIX / "root" / "usr" / "lib" / "jvm" / "java-17-openjdk-arm64" / "bin" / "java"


def unpack_jvm() -> None:
    """Debian's packages, through package lists of our own: the system stays as it is."""
    if JAVA.exists():
        return
    options = ["-o", "APT::Architectures::=amd64", "-o", "APT::Architectures::=arm64"]
    options += ["-o", "APT::Sandbox::User=root"]
    for setting, folder in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")]:
        (PREFIX / folder / "partial").mkdir(parents=True, exist_ok=True)
        options += ["-o", f"{setting}={PREFIX / folder}"]
    run(["apt-get", *options, "-qq", "update"], PREFIX)
    run(["apt-get", *options, "-qq", "download", *PACKAGES], PREFIX)
    for package in sorted(PREFIX.glob("*.deb")):
        run(["dpkg", "-x", str(package), str(PREFIX / "root")], PREFIX)


def main(cpus: list[str]) -> int:
    unpack_jvm()
    library = build("jni-arm64")
    for number, setting in enumerate(cpus):
        cpu, _, kernels = setting.rpartition("=")
        environment = {
            **os.environ,
            "LINNET_TEST_JAVA": f"qemu-aarch64 -cpu {cpu} -L {PREFIX / 'root'} {JAVA}",
            "LINNET_TEST_JNI": str(library),
            "LINNET_TEST_KERNELS": kernels.replace(",", " "),
        }
        command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / "test_jni.py")]
        if number > 0:  # only the samples can depend on the processor
            command += ["-k", "samples"]
        print(f"arm64 JVM on {cpu}", flush=True)
        status = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if status != 0:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or CPUS))
