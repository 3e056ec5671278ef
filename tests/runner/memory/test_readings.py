"""Memory as the system tells it from outside, and what this machine cannot tell."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner import readings
from trainwatch.runner.host import HostSampler, worth_telling


def test_pressure(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_text(
        "some avg10=12.50 avg60=3.00 avg300=0.10 total=123\n"
        "full avg10=4.00 avg60=1.00 avg300=0.00 total=45\n"
    )
    assert readings.pressure(file) == {"some": 12.5, "full": 4.0}
    assert readings.pressure(tmp_path / "absent") is None


def test_the_footprint_of_a_tree() -> None:
    """The structure as macOS fills it: a uuid, seven numbers, the footprint."""

    def call(pid: int, flavor: int, buffer: Any) -> int:
        if pid == 3:
            return -1  # It has gone.
        numbers = [1, 2, 3, 4, 5, 6, 7, pid * 1_000_000, 9, 10]
        filled = bytes(16) + struct.pack("=10Q", *numbers)
        buffer[: len(filled)] = filled
        return 0

    assert readings.footprint([1, 2, 3], call) == 3_000_000
    assert readings.footprint([3], call) is None
    assert readings.footprint([1], None) is None


class Nvml(SimpleNamespace):
    """Two cards; the driver goes away when it is told to."""

    gone = False

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        if self.gone:
            raise RuntimeError("Driver Not Loaded")
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=100 + handle, total=1000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=97, memory=3)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if handle:
            raise RuntimeError("Not Supported")
        return 309_800


def test_cards() -> None:
    nvml = Nvml()
    cards = readings.Cards(lambda name: nvml)
    assert cards.read() == {
        "0 used": 100,
        "0 total": 1000,
        "0 busy": 97,
        "0 watts": 310,
        "1 used": 101,
        "1 total": 1000,
        "1 busy": 97,
    }
    assert cards.why_not == "NVML tells no watts: Not Supported"
    nvml.gone = True
    assert cards.read() == {}
    assert cards.why_not == "NVML: Driver Not Loaded"


def test_what_cannot_be_read_says_so() -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    cards = readings.Cards(absent)
    assert cards.read() == {}
    said = readings.why_not(None, None, None, cards)
    assert said["cards"] == "pynvml is not installed"
    assert "pressure" in said
    assert ("footprint" in said) == (sys.platform != "darwin")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sample_of_this_machine(tmp_path: Path) -> None:
    import os

    sampler = HostSampler(os.getpid(), tmp_path)
    sampler.sample(0.0)
    sample = sampler.sample(1.0)
    assert sample.tree_rss
    assert sample.ram_total
    assert bool(sample.pressure) != ("pressure" in sample.unread)
    assert "footprint" in sample.unread


def test_pressure_is_worth_telling() -> None:
    before = ev.HostSampled(pressure={"some": 1.0})
    assert not worth_telling(before, replace(before, pressure={"some": 3.0}))
    assert worth_telling(before, replace(before, pressure={"some": 9.0}))
    assert worth_telling(before, replace(before, cgroup_held=10))


def test_a_card_that_stops_is_worth_telling() -> None:
    before = ev.HostSampled(cards={"0 busy": 97, "0 watts": 300})
    assert not worth_telling(before, replace(before, cards={"0 busy": 60}))
    assert worth_telling(before, replace(before, cards={"0 busy": 0}))
    assert worth_telling(replace(before, cards={"0 busy": 0}), before)
    assert worth_telling(replace(before, cards={}), before)
