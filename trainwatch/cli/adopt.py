"""`adopt`: the outside view of a process that was started without us."""

from __future__ import annotations

import argparse
import shlex
import shutil
import time

from trainwatch.cli.run import has_screen
from trainwatch.runner.adoption import adopt as begin
from trainwatch.runner.outside import MISSING, Outside, look
from trainwatch.runner.spy import PROGRAM
from trainwatch.runner.text import duration, plain, size

FILES = 8


def adopt(options: argparse.Namespace) -> int:
    outside = look(options.pid)
    folder = begin(outside, options.name, options.notify or "")
    if options.detach:
        print(folder.name)
        return 0
    if not options.plain and has_screen():
        from trainwatch.cli.app import show_run

        return show_run(folder, ours=False)
    for line in described(outside, time.time(), shutil.which(PROGRAM) is not None):
        print(plain(line))
    from trainwatch.cli.plain import follow_plain

    return follow_plain(folder, forward=False)


def described(outside: Outside, now: float, stacks: bool) -> list[str]:
    """What is seen from outside, and what is not."""
    lines = [
        f"process {outside.pid} of {outside.user}, for "
        f"{duration(now - outside.started)}, in {outside.cwd or 'an unknown folder'}",
        f"  {shlex.join(outside.argv)}",
    ]
    for member in outside.members:
        spent = duration(member.cpu_s) if member.cpu_s is not None else "?"
        lines.append(
            f"  {member.pid:>7}  {member.status:<9} cpu {spent:<12} "
            f"{size(member.rss):>9}  {member.threads or '?'} threads  {member.command}"
        )
    for path, length in outside.files[:FILES]:
        lines.append(f"  writes {path}  {size(length)}")
    if len(outside.files) > FILES:
        lines.append(f"  and {len(outside.files) - FILES} other files")
    lines += [f"missing: {what}" for what in MISSING]
    lines += [f"not allowed to see: {what}" for what in outside.denied]
    if not stacks:
        lines.append("missing: stacks, which py-spy could read (pip install py-spy)")
    return lines
