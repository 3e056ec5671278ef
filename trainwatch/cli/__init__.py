"""
The command line. Each command's module is imported only when it is asked for:
`trainwatch run` must start the user's program before anything heavy is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from trainwatch.runner.errors import TrainwatchError

OUR_BUG = 70


def run(words: Sequence[str]) -> int:
    """Run one command line; returns the exit code and prints errors in one line."""
    try:
        return _dispatch(words)
    except TrainwatchError as error:
        from trainwatch.runner.text import plain

        print(plain(f"trainwatch: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read us left: what we watch goes on, so do not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception:
        from trainwatch.cli.crash import report

        print(f"trainwatch: {report(words)}", file=sys.stderr)
        return OUR_BUG


def _dispatch(words: Sequence[str]) -> int:
    if list(words) in (["--version"], ["-V"]):
        from trainwatch import __version__

        print(f"trainwatch {__version__}")
        return 0
    from trainwatch.cli.parser import parse

    options = parse(words)
    return int(options.command(options))
