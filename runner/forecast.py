"""
Forecasts of memory: kept, compared with what happened, and put into words.

Pure. A forecast is an alarm only where it does not fit; one that fits with little
room is told and no more.
"""

from __future__ import annotations

from dataclasses import replace

from trainwatch.probes import events as ev
from trainwatch.runner.state import Forecast, Process
from trainwatch.runner.text import size

KEPT = 8
ROOM = 0.03
"""Share of a limit that has to stay free before a forecast fits comfortably: what an
allocator rounds up, and its kernels take, is not in the forecast."""
BEFORE_TRAINING = "train begin"
NAMES = {"optimizer": "optimizer.step", "backward": "the backward"}


def told(
    forecasts: tuple[Forecast, ...], body: ev.Forecast, time: float
) -> tuple[Forecast, ...]:
    """With one more. A later one of the same phase and step stands in its place."""
    rest = tuple(f for f in forecasts if (f.phase, f.step) != (body.phase, body.step))
    return (*rest[-KEPT + 1 :], Forecast(**vars(body), told=time))


def met(
    forecasts: tuple[Forecast, ...], body: ev.ForecastMet, time: float
) -> tuple[Forecast, ...]:
    """With what came of one."""
    return tuple(
        replace(
            forecast,
            met=time,
            got=body.got,
            at_most=body.at_most,
            got_by=body.by,
            state_got=body.state_got,
        )
        if (forecast.phase, forecast.step) == (body.phase, body.step)
        else forecast
        for forecast in forecasts
    )


def to_come(process: Process) -> tuple[Forecast, ...]:
    """Those whose phase has not been compared yet."""
    return tuple(f for f in process.forecasts if f.met is None)


def shown(process: Process) -> Forecast | None:
    """
    The one to show where only one fits: what does not fit and was not survived, else
    what comes next, else the last.
    """
    coming = to_come(process)
    bad = [f for f in coming if f.fits is False]
    return next(iter((*bad[-1:], *coming[-1:], *process.forecasts[-1:])), None)


def fits(forecast: Forecast) -> str:
    """`yes`, `tight`, `no` or `cannot tell`."""
    if forecast.fits is None or forecast.needs is None or forecast.headroom is None:
        return "cannot tell"
    if not forecast.fits:
        return "no"
    room = forecast.headroom - forecast.needs
    small = forecast.needs < ROOM * (forecast.limit or 0)
    tight = room < ROOM * (forecast.limit or 0) and not small
    return "tight" if tight else "yes"


def error(forecast: Forecast) -> float | None:
    """
    Percent by which the forecast was off what happened; above 0 it said too much.

    The state is compared where the live tensors tell it, else the level that was
    reached. None where only a bound is known.
    """
    if forecast.state_got:
        return 100 * ((forecast.state or 0) / forecast.state_got - 1)
    if forecast.got is None or forecast.needs is None:
        return None
    if forecast.bound or forecast.at_most:
        return None
    level = (forecast.held or 0) + forecast.got
    return 100 * (forecast.needs - forecast.got) / level if level else None


def name(forecast: Forecast) -> str:
    """`optimizer.step of step 1`."""
    what = NAMES.get(forecast.phase, forecast.phase)
    return what if forecast.step is None else f"{what} of step {forecast.step:,}"


def sentence(forecast: Forecast) -> str:
    """`optimizer.step of step 1 will need 7.2 GB, 5.9 GB left of 24 GB (card)`."""
    if forecast.needs is None:
        return f"{name(forecast)}: {forecast.method}"
    if forecast.headroom is None:
        return f"{name(forecast)} will need {size(forecast.needs)}, no limit is known"
    least = "at most " if forecast.bound else ""
    limit = f" of {size(forecast.limit)}" if forecast.limit is not None else ""
    left = size(max(0, forecast.headroom))
    return (
        f"{name(forecast)} will need {least}{size(forecast.needs)}, "
        f"{left} left{limit} ({forecast.limit_by})"
    )


def advice(forecast: Forecast) -> str:
    """What would fit, by the same closed form; "" where nothing was computed."""
    if forecast.fits is not False or forecast.phase != "optimizer":
        return ""
    if not forecast.alternative:
        return "no other setting of this optimizer would fit: train fewer layers"
    return (
        f"{forecast.alternative} would fit: it needs {size(forecast.alternative_needs)}"
    )


def outcome(forecast: Forecast) -> str:
    """What came of it, with the error; "" before."""
    if forecast.met is None:
        return ""
    off = error(forecast)
    if forecast.state_got:
        return f"its state was {size(forecast.state_got)}, {_percent(off)}"
    if forecast.got is None:
        return "what came of it was not measured"
    if forecast.at_most:
        return f"took at most {size(forecast.got)}: the peak did not rise"
    if off is None:
        return f"took {size(forecast.got)}"
    return f"took {size(forecast.got)}, {_percent(off)} of the level"


def _percent(off: float | None) -> str:
    return "not compared" if off is None else f"off by {off:+.1f} %"
