"""Memory to look at: a Mac and a card that are made up, read by the real code."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from support.scenes import CONSOLE, PID, Log, in_backward, loaded, started, step
from trainwatch.probes import events as ev
from trainwatch.probes.memory import Sampler
from trainwatch.runner.view import RunView

GIB = 1 << 30
MAC_RAM = 36 * GIB
MAC_WORKING_SET = int(28.08 * GIB)
"""What a Mac of 36 GB recommends (llama.cpp's logs: 30150.67 MB)."""


class Torch:
    """As much of torch as the sampler reads, on a device that is not there."""

    def __init__(self, device: str, **numbers: int) -> None:
        def read(name: str) -> Any:
            return lambda *_: numbers[name]

        self.cuda = SimpleNamespace(
            is_initialized=lambda: device == "cuda",
            current_device=lambda: 0,
            memory_allocated=read("allocated"),
            memory_reserved=read("reserved"),
            max_memory_allocated=read("peak"),
            get_device_properties=lambda _: SimpleNamespace(
                total_memory=numbers["card"]
            ),
            mem_get_info=lambda _: (numbers["free"], numbers["card"]),
        )
        self.mps = SimpleNamespace(
            current_allocated_memory=read("allocated"),
            driver_allocated_memory=read("reserved"),
            recommended_max_memory=read("recommended"),
        )
        self.accelerator = SimpleNamespace(max_memory_allocated=read("peak"))


def sampler(torch: Torch, device: str, ram: int = MAC_RAM) -> Sampler:
    """The real sampler of a process on that device."""
    process = SimpleNamespace(
        devices={device}, timeline=None, where=lambda: ("backward", 1)
    )
    found = Sampler(process, torch)  # type: ignore[arg-type]
    found._host.ram = ram
    return found


def mac_sampler(allocated: int = 17_600_000_000) -> Sampler:
    torch = Torch(
        "mps",
        allocated=allocated,
        reserved=allocated + 1_600_000_000,
        peak=allocated + 1_300_000_000,
        recommended=MAC_WORKING_SET,
    )
    return sampler(torch, "mps")


def card_sampler(allocated: int = 17_600_000_000) -> Sampler:
    torch = Torch(
        "cuda",
        allocated=allocated,
        reserved=allocated + 400_000_000,
        peak=18_000_000_000,
        card=25_400_000_000,
        free=25_400_000_000 - allocated - 1_000_000_000,
    )
    return sampler(torch, "cuda")


def told(found: Sampler) -> ev.MemorySampled:
    """What that sampler tells."""
    from trainwatch.probes import limits

    read = found.look()
    return found._facts(read, limits.lines(read))


# --- the scenes ---


def mac() -> RunView:
    """LoRA on a Mac of 36 GB, by its three lines."""
    log = loaded(started())
    for number in range(1, 144):
        step(log, number)
    log.say(told(mac_sampler()))
    log.say(ev.HostSampled(96.0, 21.0, 12, MAC_RAM, 12_400_000_000, MAC_RAM))
    log.say(ledger(log))
    return in_backward(log).view(CONSOLE)


def ledger(log: Log) -> ev.LedgerMeasured:
    return ev.LedgerMeasured(
        1, 87_293_952, 16_381_470_720, 87_293_952, 174_587_904, 174_587_904, 2_016
    )


def forecast(**more: Any) -> ev.Forecast:
    """Plain AdamW on a card of 24 GB, before its first step."""
    return replace(
        ev.Forecast(
            phase="optimizer",
            step=1,
            needs=8_387_000_000,
            headroom=6_800_000_000,
            limit=25_400_000_000,
            limit_by="card",
            fits=False,
            method="closed form of AdamW",
            held=18_600_000_000,
            device="cuda:0",
            asked="optimizer",
            gradients=0,
            state=5_591_000_000,
            temporary=2_796_000_000,
            optimizer="AdamW",
            implementation="foreach",
            alternative="fused=True",
            alternative_needs=5_591_000_000,
        ),
        **more,
    )


def will_not_fit() -> RunView:
    """The first optimizer step of a partial fine-tuning is about to run."""
    log = loaded(started())
    log.say(told(card_sampler()))
    log.wait(3.9).say(forecast())
    log.say(
        ev.FindingRaised(
            "memory.forecast",
            "serious",
            "resource",
            "optimizer.step of step 1 will need 8.39 GB, 6.8 GB left of 25.4 GB (card)",
            ["closed form of AdamW"],
            "fused=True would fit: it needs 5.59 GB",
        )
    )
    log.wait(0.1).say(ev.PhaseObserved(PID, "optimizer", log.now - 0.1, 0))
    return log.view(CONSOLE[:2], age=0.2)


def came_true() -> RunView:
    """The same with a fused optimizer, three steps later."""
    log = loaded(started())
    log.say(told(card_sampler()))
    log.say(forecast(needs=5_591_000_000, fits=True, temporary=0, alternative=""))
    log.say(
        ev.ForecastMet(
            "optimizer",
            1,
            5_591_000_000,
            5_602_000_000,
            False,
            "peak of the allocator",
            5_591_000_000,
            5_591_000_000,
        )
    )
    log.say(ledger(log))
    for number in range(1, 4):
        step(log, number)
    return in_backward(log, 4).view(CONSOLE[:2])
