"""It may be a device that it waits for."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight


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
            "it may wait for the device; a long kernel and a hung one look alike from "
            "outside",
        ),
        "look at the device's power and memory traffic; t shows the stack",
    )
