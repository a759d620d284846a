"""Says on stderr which records are missing or damaged, while the others are read."""

import functools
import sys


@functools.cache
def tell(text: str) -> None:
    """Prints one line. A process prints it once, however many of its tables come from the same folder."""
    print(f"rnnbench: {text}", file=sys.stderr)
