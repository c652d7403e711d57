"""What all tests share."""

import os

from hypothesis import settings

# No test depends on how busy the machine is.
settings.register_profile("linnet", parent=settings.default, deadline=None)
settings.load_profile("linnet")

# The tests of other machines take minutes and need cross compilers and emulators.
# LINNET_TEST_CROSS names those to run: `make test-arm` sets it to "arm", `make test-arm-python` to
# "python", `make test-cross` to "others", `make test-web` to "web".
_IGNORED = {
    "arm": ["cross/test_python.py", "cross/test_compilers.py", "cross/test_browser.py"],
    "python": ["cross/test_[!p]*.py", "cross/test_phone.py"],
    "others": ["cross/test_[!hc]*.py"],
    "web": ["cross/test_[!hb]*.py"],
}
collect_ignore_glob = _IGNORED.get(os.environ.get("LINNET_TEST_CROSS", ""), ["cross/*.py"])
