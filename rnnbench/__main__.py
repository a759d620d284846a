"""`python -m rnnbench`."""

import sys

from rnnbench.commands.cli import main

sys.exit(main())
