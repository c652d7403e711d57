"""The command line as `python -m linnet`."""

import sys

from linnet.cli import main

sys.exit(main())
