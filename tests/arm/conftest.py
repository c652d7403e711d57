"""These tests take minutes and need cross compilers and QEMU: `make test-arm` runs them."""

import os

collect_ignore_glob = [] if "LINNET_TEST_ARM" in os.environ else ["test_*.py"]
