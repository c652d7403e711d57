"""What all tests share."""

import os

from hypothesis import settings

# No test depends on how busy the machine is.
settings.register_profile("linnet", parent=settings.default, deadline=None)
settings.load_profile("linnet")

# The tests of ARM take minutes and need cross compilers and QEMU; LINNET_TEST_ARM names those to
# run: `make test-arm` sets it to "native", `make test-arm-python` to "python", `make test-cross`
# to "cross".
_ARM_IGNORED = {
    "native": ["arm/test_python.py"],
    "python": ["arm/test_[!p]*.py", "arm/test_phone.py"],
    "cross": ["arm/test_[!h]*.py"],
}
collect_ignore_glob = _ARM_IGNORED.get(os.environ.get("LINNET_TEST_ARM", ""), ["arm/*.py"])
