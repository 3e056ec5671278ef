"""`python -m trainwatch`, and the `trainwatch` command."""

from __future__ import annotations

import sys


def main() -> None:
    from trainwatch.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
