"""`python -m rnnbench`, and the script `rnnbench`."""

import sys


def main() -> int:
    """Runs the command line and returns its exit code; a signal while modules are imported shows no traceback."""
    from rnnbench.training.stopping import Stopped, interruptible

    try:
        with interruptible():
            from rnnbench.commands import cli
    except Stopped as stop:
        return stop.exit_code
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
