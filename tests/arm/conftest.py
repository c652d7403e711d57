"""These tests take minutes and need cross compilers and QEMU; LINNET_TEST_ARM names those to run.

`make test-arm` sets it to "native", `make test-arm-python` to "python".
"""

import os

PYTHON = ["test_python.py"]
IGNORED = {"native": PYTHON, "python": ["test_[!p]*.py", "test_phone.py"]}
collect_ignore_glob = IGNORED.get(os.environ.get("LINNET_TEST_ARM", ""), ["test_*.py"])
