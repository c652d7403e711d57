# Everything from a bare clone with python3 (>= 3.10, with venv), a C++17 compiler and make. `make help` lists the targets.

PYTHON ?= python3
FUZZ_SECONDS ?= 60
MUTATIONS ?= 20000
VOICE ?= slt
PHONE_VOICE ?= voices/$(VOICE).linnet
PHONE_CLIP ?= voices/$(VOICE)-heldout.wav
DTYPE ?= int8

bin := .venv/bin
python := $(bin)/python
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN)
export LINNET_WERROR ?= 1
export MPLBACKEND ?= Agg
export ANDROID_NDK
export PIP_DISABLE_PIP_VERSION_CHECK = 1

cpp := $(shell find src_cpp training/linnet_training -name '*.cpp' -o -name '*.h')
quiet := -q
install = LINNET_WITHOUT_EXTENSION=1 $(bin)/pip install $(quiet) --no-build-isolation
core := .venv/.core
extension := .venv/.extension
demo_packages := .venv/.demo-packages
test_packages := .venv/.test-packages
sample_packages := .venv/.sample-packages
web_packages := .venv/.web-packages
browser_packages := .venv/.browser-packages

.PHONY: all help demo bench docs test lint voice study fuzz coverage native clean android android-sample wheels test-arm test-arm-python test-cross test-riscv64 phone mca web test-web bench-web
.DELETE_ON_ERROR:

all: $(extension) native  ## build the Python extension, the C library and the C example

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

# The first thing that anybody runs: it shows what it does.
demo: quiet :=
demo: export LINNET_PROGRESS = 1
demo: $(extension) $(demo_packages)  ## vocode the bundled clip: out/demo.wav, out/demo.png and a table of figures
	@echo "demo: vocoding"
	$(python) bench/demo.py

bench: $(extension) $(demo_packages)  ## the targets of the kernels beside what they reach here; out/bench-targets.json
	$(python) bench/targets.py

test: lint native  ## lint, C and C++ tests, Python tests
	$(python) -m pytest -n 2 --dist loadgroup
	@echo "make test: all passed"

test-arm: $(extension) $(test_packages)  ## cross-compile for ARM and compare with this machine under QEMU (apt packages)
	$(python) tests/cross/packages.py aarch64-linux-gnu-g++ arm-linux-gnueabihf-g++ qemu-aarch64 javac
	$(python) tests/native.py native arm64 arm64-sanitize armv7 phone-arm64 phone-armv7 jni-arm64
	$(python) android/scripts/elf.py build/arm64/liblinnet.so build/armv7/liblinnet.so build/jni-arm64/liblinnet_jni.so
	LINNET_TEST_CROSS=arm $(python) -m pytest -n 2 tests/cross
	$(python) tests/jni/arm64.py
	@echo "make test-arm: all passed"

test-cross: $(extension) $(test_packages)  ## RISC-V, POWER, Windows, musl run; macOS compiled (apt packages, PyPI)
	$(python) tests/cross/packages.py riscv64-linux-gnu-g++ powerpc64le-linux-gnu-g++ qemu-aarch64 \
	  x86_64-w64-mingw32-g++-posix wine clang
	$(python) tests/native.py native riscv64 ppc64le windows
	LINNET_TEST_CROSS=others $(python) -m pytest tests/cross
	@echo "make test-cross: all passed"

test-riscv64: $(extension) $(test_packages)  ## of these RISC-V alone, its vectors where clang++-19 is (apt packages)
	$(python) tests/cross/packages.py riscv64-linux-gnu-g++ qemu-aarch64
	$(python) tests/native.py native riscv64
	LINNET_TEST_CROSS=others $(python) -m pytest -n 2 tests/cross/test_hashes.py -k riscv64
	@echo "make test-riscv64: all passed"

test-arm-python: $(extension) $(test_packages)  ## the Python package in an arm64 Python under QEMU (apt packages, PyPI)
	$(python) tests/cross/packages.py aarch64-linux-gnu-g++ qemu-aarch64
	LINNET_TEST_CROSS=python $(python) -m pytest tests/cross

wheels: $(extension)  ## sdist, wheels for Linux and the CPythons of this machine, checked, tried; build/wheels (PyPI)
	PYTHONPATH=tests:tests/cross $(python) tests/wheels.py

web: $(web_packages)  ## a page that vocodes in the browser, and the module for others: build/web (PyPI)
	$(python) web/build_page.py

test-web: $(extension) $(browser_packages) web  ## the page in headless Chromium, hashes in node; out/web.png (apt packages, PyPI)
	$(python) tests/cross/packages.py node chromium
	$(python) tests/native.py native
	$(python) -m pytest -n 0 tests/test_web.py
	LINNET_TEST_CROSS=web $(python) -m pytest -n 0 tests/cross
	@echo "make test-web: all passed"

bench-web: $(extension) $(browser_packages) web  ## how fast it is there (apt packages, PyPI)
	$(python) tests/cross/packages.py node chromium
	PYTHONPATH=tests:web $(python) bench/web.py

phone: $(extension) $(test_packages)  ## folders for `adb push`: static programs, PHONE_VOICE, features of PHONE_CLIP (apt packages)
	$(python) tests/cross/packages.py aarch64-linux-gnu-g++ arm-linux-gnueabihf-g++
	PYTHONPATH=tests $(python) bench/phone.py $(PHONE_VOICE) $(PHONE_CLIP)

mca: $(extension) $(test_packages)  ## cycles that llvm-mca predicts: NEON on Arm cores, AVX-VNNI (apt packages)
	$(python) tests/cross/packages.py aarch64-linux-gnu-g++ llvm-mca-19
	$(python) bench/mca.py -o out/mca.json
	PYTHONPATH=bench $(python) bench/mca_x86.py

lint: $(extension) $(test_packages)  ## ruff and mypy
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

docs: $(core)  ## the site of the documents, build/site; warnings are errors (PyPI)
	$(install) -e '.[docs]'
	$(python) docs/gather.py
	$(bin)/mkdocs build -q

native: $(test_packages)  ## the C library, its example and its tests, plain and with sanitizers
	$(python) tests/native.py native sanitize sanitize-threads

voice: $(extension) $(if $(filter slt,$(VOICE)),data/slt/wavs/texts.json)  ## train the bundled voice: hours; resumes
	LINNET_WITHOUT_EXTENSION=1 $(bin)/pip install -q -e '.[train]'
	$(bin)/linnet-train prepare voices/$(VOICE).toml
	$(bin)/linnet-train run voices/$(VOICE).toml
	$(bin)/linnet export runs/$(VOICE)/model.pt -o voices/$(VOICE).linnet

# Big tensors come and go at every update: without mmap that is a sixth faster.
study: export MALLOC_MMAP_MAX_ = 0
study: export MALLOC_TRIM_THRESHOLD_ = 10000000000
study: $(extension) data/slt/wavs/texts.json  ## sparse against dense networks of as many weights: hours; resumes
	LINNET_WITHOUT_EXTENSION=1 $(bin)/pip install -q -e '.[train]'
	test -e data/slt/prepared/prepared.json || $(bin)/linnet-train prepare training/study.toml
	$(bin)/linnet-train study training/study.toml

data/slt/wavs/texts.json: | $(core)
	@command -v flite >/dev/null || { echo "make voice needs Debian's flite and fortunes"; exit 1; }
	$(python) -m linnet_training.speech $(@D) --minutes 75

fuzz: $(extension) $(test_packages)  ## fuzz the loader and the engine for FUZZ_SECONDS (needs clang), and MUTATIONS imports
	$(python) tests/run_fuzzer.py $(FUZZ_SECONDS)
	$(python) tests/mutated_checkpoints.py $(MUTATIONS)

coverage: $(extension) $(test_packages)  ## which lines of src_cpp the C++ tests run, file by file (apt packages)
	$(python) tests/cross/packages.py clang llvm-profdata
	$(python) tests/run_coverage.py

android:  ## the Android libraries, with ANDROID_NDK=FOLDER
	$(PYTHON) android/scripts/build.py

android-sample: $(extension) $(sample_packages)  ## what the sample app packs: VOICE with weights of DTYPE, int8; build/android/assets (PyPI)
	$(python) android/scripts/sample_assets.py $(VOICE) --dtype $(DTYPE)

clean:  ## remove everything that was built, but not .venv, checkpoints or outputs
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info runtime/linnet/_core*.so $(extension)

$(python):
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "linnet needs Python 3.10 or newer"'
	@echo "environment: .venv"
	$(PYTHON) -m venv .venv

# Packages are installed without compiling; the extension is compiled in place and follows its sources.
$(core): pyproject.toml | $(python)
	@echo "packages: what builds linnet, and numpy"
	$(bin)/pip install $(quiet) 'setuptools>=77,<81' 'pybind11>=3.0,<4' wheel
	$(install) -e .
	@touch $@

$(extension): setup.py $(cpp) $(core)
	@echo "compiling: the extension, once; a minute or two on two cores"
	$(python) setup.py -q build_clib build_ext --inplace
	@touch $@

$(demo_packages): $(core)
	@echo "packages: what measures and draws"
	$(install) -e '.[bench]'
	@touch $@

$(test_packages): $(core)
	$(install) -e '.[dev]'
	@touch $@

$(sample_packages): $(core)
	$(install) -e '.[reference]'
	@touch $@

$(web_packages): $(core)
	$(install) -e '.[web]'
	@touch $@

$(browser_packages): $(test_packages) $(web_packages)
	$(install) -e '.[browser]'
	@touch $@
