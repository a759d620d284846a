"""`python -m rnnbench`, and the script `rnnbench`."""

import sys


def main() -> int:
    """Runs the command line and returns its exit code; Ctrl-C while modules are imported shows no traceback."""
    try:
        from rnnbench.commands import cli
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
