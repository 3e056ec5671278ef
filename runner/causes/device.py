"""It may be a device that it waits for."""

from __future__ import annotations

from collections.abc import Mapping

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight

ALIKE = "a long kernel and a hung one look alike from outside"


def device(sight: Sight) -> Cause | None:
    """Far longer than usual in work for a device, without CPU."""
    limit = sight.patience
    if not sight.on_device or sight.quiet < limit or sight.idle < limit / 2:
        return None
    return Cause(
        "slow",
        "slow",
        "possible",
        (
            f"{sight.stopped_for()}, CPU 0",
            waited_for(sight.state.host.cards),
        ),
        "look at the device's power and memory traffic; t shows the stack",
    )


def waited_for(cards: Mapping[str, int]) -> str:
    """What the cards say to that: `cards` as `readings.Cards` reads them."""
    loads = {
        name.removesuffix(" busy"): value
        for name, value in cards.items()
        if name.endswith(" busy")
    }
    if not loads:
        return f"it may wait for the device; {ALIKE}"
    if not any(loads.values()):
        return "it may wait for the device, but no card computes"
    number = max(loads, key=lambda card: loads[card])
    drawn = cards.get(f"{number} watts")
    power = f" at {drawn} W" if drawn is not None else ""
    return f"card {number} is {loads[number]} % busy{power}; {ALIKE}"
