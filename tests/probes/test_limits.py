"""The limits of memory as lines, on devices that are made up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import memory_scenes as scenes
from trainwatch.probes import limits
from trainwatch.probes.limits import Reading

GB = 10**9


def of(read: Reading) -> dict[str, tuple[int, int | None]]:
    return {line.name: (line.bytes, line.left) for line in limits.lines(read)}


def mac(**more: Any) -> Reading:
    return Reading(
        device="mps",
        allocated=20 * GB,
        recommended=30 * GB,
        ram=38 * GB,
        **{"high_ratio": 1.7, "low_ratio": 1.4, **more},
    )


def test_a_mac_has_its_lines_by_the_working_set() -> None:
    found = of(mac())
    assert found == {
        limits.WORKING_SET: (30 * GB, 10 * GB),
        limits.LOW: (42 * GB, 22 * GB),
        limits.HIGH: (51 * GB, 31 * GB),
        limits.RAM_LESS: (35 * GB, 15 * GB),
        limits.RAM: (38 * GB, 18 * GB),
    }
    lines = limits.lines(mac())
    budget, nearest = limits.budget(lines), limits.nearest(lines)
    assert budget is not None
    assert budget.name == limits.WORKING_SET
    assert nearest is not None
    assert nearest.left == 10 * GB
    assert limits.torch_limit(lines) == 51 * GB


def test_a_watermark_of_zero_is_no_limit() -> None:
    found = of(mac(high_ratio=0.0, low_ratio=0.0))
    assert limits.HIGH not in found
    assert limits.LOW not in found
    assert limits.torch_limit(limits.lines(mac(high_ratio=0.0))) is None


@pytest.mark.parametrize(
    ("environment", "ratios"),
    [
        ({}, (1.7, 1.4)),
        ({limits.HIGH_RATIO: "0.0"}, (0.0, 1.4)),
        ({limits.HIGH_RATIO: "0.9", limits.LOW_RATIO: "0.8"}, (0.9, 0.8)),
        ({limits.HIGH_RATIO: "plenty"}, (1.7, 1.4)),
    ],
)
def test_the_ratios_of_the_environment(
    environment: dict[str, str], ratios: tuple[float, float]
) -> None:
    assert limits.watermarks(environment) == ratios


def test_a_card_is_less_what_other_processes_hold() -> None:
    read = Reading(
        "cuda:0",
        allocated=10 * GB,
        reserved=12 * GB,
        card=24 * GB,
        card_free=5 * GB,
        fraction=0.9,
    )
    found = of(read)
    # Free for us: what the driver says, and what torch caches.
    assert found[limits.CARD] == (24 * GB, 7 * GB)
    assert found[limits.FRACTION] == (int(0.9 * 24 * GB), int(0.9 * 24 * GB) - 10 * GB)
    nearest = limits.nearest(limits.lines(read))
    assert nearest is not None
    assert nearest.name == limits.CARD
    # Where the driver was not asked, nobody else is counted.
    assert of(Reading("cuda:0", allocated=GB, card=24 * GB))[limits.CARD][1] == 23 * GB


def test_a_host_has_the_address_space_the_group_and_ram() -> None:
    read = Reading(
        rss=GB,
        mapped=4 * GB,
        address_limit=6 * GB,
        cgroup_limit=8 * GB,
        cgroup_held=7 * GB,
        ram=64 * GB,
        ram_available=32 * GB,
    )
    assert of(read) == {
        limits.ADDRESS_SPACE: (6 * GB, 2 * GB),
        limits.CGROUP: (8 * GB, 1 * GB),
        limits.RAM: (64 * GB, 32 * GB),
    }
    lines = limits.lines(read)
    nearest, budget = limits.nearest(lines), limits.budget(lines)
    assert nearest is not None
    assert nearest.name == limits.CGROUP
    assert budget is not None
    assert budget.name == limits.ADDRESS_SPACE
    assert limits.nearest(limits.lines(Reading())) is None


@pytest.mark.skipif(sys.platform != "linux", reason="cgroups")
@pytest.mark.parametrize("version", [1, 2])
def test_the_smallest_group_above_a_process(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "memory" if version == 1 else tmp_path
    name = "memory.limit_in_bytes" if version == 1 else "memory.max"
    usage = "memory.usage_in_bytes" if version == 1 else "memory.current"
    inner = base / "box" / "job"
    inner.mkdir(parents=True)
    (inner / name).write_text("max\n" if version == 2 else "9223372036854771712\n")
    (base / "box" / name).write_text("8000\n")
    (base / "box" / usage).write_text("5000\n")
    (base / "box" / "memory.stat").write_text(
        "inactive_file 100\nactive_file 50\nanon 9\n"
        if version == 2
        else "inactive_file 1\ntotal_inactive_file 100\ntotal_active_file 50\n"
    )
    (base / name).write_text("16000\n")
    row = "4:memory:/box/job" if version == 1 else "0::/box/job"
    opened = open

    def fake(path: Any, *args: Any, **more: Any) -> Any:
        if path == "/proc/self/cgroup":
            path = tmp_path / "cgroup"
        return opened(path, *args, **more)

    (tmp_path / "cgroup").write_text(f"9:cpu:/\n{row}\n")
    monkeypatch.setattr("builtins.open", fake)
    found = limits.cgroup_limit("self", str(tmp_path))
    assert found == (8000, str(base / "box"))
    assert limits.cgroup_held(found[1]) == 4850


def test_the_sampler_tells_all_lines_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.HIGH_RATIO, "1.2")
    monkeypatch.setenv(limits.LOW_RATIO, "1.0")
    sampler = scenes.mac_sampler()
    told = scenes.told(sampler)
    assert (told.budget, told.budget_by) == (
        scenes.MAC_WORKING_SET,
        limits.WORKING_SET,
    )
    assert told.torch_limit == int(1.2 * scenes.MAC_WORKING_SET)
    assert told.physical == scenes.MAC_RAM
    assert told.lines[limits.RAM] == scenes.MAC_RAM
    assert (told.high_ratio, told.low_ratio, told.ratios_late) == (1.2, 1.0, False)
    monkeypatch.setenv(limits.HIGH_RATIO, "0")
    late = scenes.told(sampler)
    assert (late.high_ratio, late.ratios_late) == (1.2, True)


def test_the_driver_is_asked_only_when_looked_at_closely() -> None:
    sampler = scenes.card_sampler()
    assert sampler.look().card_free is None
    assert sampler.look_closely().card_free == 6_800_000_000
    torch: Any = sampler._torch
    torch.cuda.is_current_stream_capturing = lambda: True
    assert sampler.look_closely().card_free is None


def test_a_process_under_a_limit_of_addresses_tells_what_it_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = scenes.sampler(scenes.Torch("none"), "cpu", ram=64 * GB)
    sampler._process = SimpleNamespace(  # type: ignore[assignment]
        devices={"cpu"}, timeline=None, where=lambda: ("", None)
    )
    monkeypatch.setattr(limits, "address_limit", lambda: 6 * GB)
    read = sampler.look()
    assert read.reserved == read.mapped
    told = sampler._facts(read, limits.lines(read))
    assert (told.budget, told.budget_by) == (6 * GB, limits.ADDRESS_SPACE)
