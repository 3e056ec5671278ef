"""A run that leaks 50 MB a step, under a limit that it meets."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from support.runs import Trainwatch, console
from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold
from trainwatch.runner.slope import trend
from trainwatch.runner.state import EMPTY

SCRIPT = Path(__file__).parent.parent / "support" / "leak.py"

pytestmark = pytest.mark.e2e


def test_the_step_of_its_death_is_forecast(trainwatch: Trainwatch) -> None:
    done = trainwatch("run", "--plain", "--", sys.executable, str(SCRIPT), timeout=120)
    assert done.returncode == 1, done.stdout[-2000:]
    assert "memory rises by" in done.stdout
    folder = Path(trainwatch.show()["run"]["home"])
    died = re.search(rb"died at step (\d+)", console(folder))
    assert died is not None
    state, forecasts = EMPTY, []
    for line in (folder / "events.jsonl").read_bytes().splitlines():
        event = ev.decode(line)
        state = fold(state, event)
        if isinstance(event.body, ev.FindingRaised):
            if event.body.rule != "memory.limit-ahead":
                continue
            lead = state.lead
            assert lead is not None
            rising = trend(lead, state.host)
            assert rising is not None
            assert rising.meets is not None
            forecasts.append((lead.step or 0, rising.meets))
    assert forecasts, "no forecast before it died"
    told_at, meets = forecasts[0]
    step = int(died.group(1))
    assert told_at < step
    assert meets == pytest.approx(step, rel=0.2)
