"""The command line as `python -m linnet.cli`."""

import sys

from linnet.cli import main

sys.exit(main())
