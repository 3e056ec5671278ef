"""
What the installed transformers says and can, by its version.

Facts of releases, read in their source; the tests compare with them what a run
printed and what the probes told.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Saying:
    """One text of transformers, and how it comes out."""

    text: str
    source: str
    """`logging` or `warnings`, as in a `WarningRaised`."""
    phase: str
    """Where the examples make it say so."""
    since: tuple[int, int]
    until: tuple[int, int] = (999, 0)
    """The first version that does not say it any more."""


SAYINGS = (
    Saying(
        "`torch_dtype` is deprecated! Use `dtype` instead!",
        "logging",
        "other",
        since=(4, 56),
    ),
    Saying(
        "The following generation flags are not valid and may be ignored: "
        "['temperature', 'top_p']",
        "logging",
        "prefill",
        since=(4, 53),
    ),
    *(
        Saying(
            f"`do_sample` is set to `False`. However, `{flag}` is set to `{value}` "
            "-- this flag is only used in sample-based generation modes.",
            "warnings",
            "prefill",
            since=(4, 41),
            until=(4, 50),
        )
        for flag, value in (("temperature", 0.7), ("top_p", 0.9))
    ),
)
"""What every example provokes. Between 4.50 and 4.52 no version was read."""


TENSORS_TOLD = (5, 23)
"""The bar of `from_pretrained` counts tensors as it goes over them. In 4.46 and 4.57
only shards have one, in 5.0 nothing can be counted along it; none between 5.0 and
5.23 was read."""

RESUMES = (4, 57)
"""Its Trainer reads its own checkpoints under torch 2.6 and later, whose `torch.load`
refuses numpy's random state by default. 4.46 does not; none between was read."""

SKIPS_ALL = (1, 11)
"""The loaders of accelerate can skip all that there is. Those of 1.1 fail on a loader
that gives nothing; none between was read."""


def installed(package: str) -> tuple[int, int]:
    """Major and minor number of the version in this environment."""
    major, minor = version(package).split(".")[:2]
    return int(major), int(minor)


def sayings() -> list[Saying]:
    """Those that the installed transformers says in an example."""
    now = installed("transformers")
    return [saying for saying in SAYINGS if saying.since <= now < saying.until]
