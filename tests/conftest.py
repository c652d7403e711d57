"""What all tests share."""

import os

from hypothesis import settings

# No test depends on how busy the machine is.
settings.register_profile("linnet", parent=settings.default, deadline=None)
settings.load_profile("linnet")

# The tests of other machines take minutes and need cross compilers and emulators.
# LINNET_TEST_CROSS names those to run: `make test-arm` sets it to "arm", `make test-arm-python` to
# "python", `make test-cross` to "others".
_IGNORED = {
    "arm": ["cross/test_python.py", "cross/test_compilers.py"],
    "python": ["cross/test_[!p]*.py", "cross/test_phone.py"],
    "others": ["cross/test_[!hc]*.py"],
}
collect_ignore_glob = _IGNORED.get(os.environ.get("LINNET_TEST_CROSS", ""), ["cross/*.py"])
