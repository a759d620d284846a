"""Says on stderr which records are missing or damaged, while the others are read."""

import functools
import sys

from rnnbench.visible import visible


@functools.cache
def tell(text: str) -> None:
    """Prints one line. A process prints it once, however many of its tables come from the same folder."""
    print(visible(f"rnnbench: {text}"), file=sys.stderr)
