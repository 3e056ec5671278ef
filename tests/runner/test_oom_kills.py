"""The kernel's counters of killed processes, of both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainwatch.runner import oom_kills
from trainwatch.runner.oom_kills import MACHINE, OomKills, Rise

PID = 4711
OLD = "sys/fs/cgroup/memory/jobs/one"


@pytest.fixture(autouse=True)
def _linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oom_kills.sys, "platform", "linux")


def put(file: Path, count: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"low 0\noom 9\noom_kill {count}\noom_group_kill 0\n")


def machine(root: Path, group: str, count: int = 5) -> Path:
    """A system in which PID is in `group`, a line of /proc/PID/cgroup."""
    file = root / f"proc/{PID}/cgroup"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"9:name=systemd:/\n{group}\n")
    put(root / "proc/vmstat", count)
    return root


def test_of_version_2(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "0::/user.slice/run.scope")
    above = system / "sys/fs/cgroup/user.slice/memory.events"
    own = system / "sys/fs/cgroup/user.slice/run.scope/memory.events"
    put(above, 7)
    put(own, 1)
    kills = OomKills(tmp_path, system)
    assert not kills.rise().readable
    kills.look(PID)
    assert kills.rise() == Rise(readable=True)
    put(above, 8)
    assert kills.rise() == Rise(
        above=1, where="sys/fs/cgroup/user.slice", readable=True
    )
    put(own, 3)
    put(system / "proc/vmstat", 7)
    told = kills.rise()
    assert (told.own, told.above, told.machine) == (2, 1, 2)
    assert told.where.endswith("run.scope")
    assert told.any


def test_of_version_1(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "4:cpu,memory:/jobs/one")
    put(system / OLD / "memory.oom_control", 0)
    kills = OomKills(tmp_path, system)
    kills.look(PID)
    put(system / OLD / "memory.oom_control", 1)
    assert kills.rise() == Rise(own=1, where=OLD, readable=True)


def test_a_group_that_is_gone_keeps_its_last_count(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "4:memory:/jobs/one")
    file = system / OLD / "memory.oom_control"
    put(file, 0)
    kills = OomKills(tmp_path, system)
    kills.look(PID)
    put(file, 1)
    kills.look(PID)
    file.unlink()
    (system / f"proc/{PID}/cgroup").unlink()
    assert kills.rise().own == 1


def test_only_the_machine_tells(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "0::/")
    kills = OomKills(tmp_path, system)
    kills.look(PID)
    put(system / "proc/vmstat", 6)
    assert kills.rise() == Rise(machine=1, where=MACHINE, readable=True)


def test_a_group_joined_later_counts_from_then(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "4:memory:/")
    kills = OomKills(tmp_path, system)
    kills.look(PID)
    put(system / OLD / "memory.oom_control", 40)
    machine(system, "4:memory:/jobs/one")
    kills.look(PID)
    assert not kills.rise().any
    put(system / OLD / "memory.oom_control", 41)
    assert kills.rise().own == 1


def test_who_takes_over_knows_the_counts_of_the_beginning(tmp_path: Path) -> None:
    system = machine(tmp_path / "root", "4:memory:/jobs/one")
    put(system / OLD / "memory.oom_control", 3)
    OomKills(tmp_path, system).look(PID)
    put(system / OLD / "memory.oom_control", 4)
    second = OomKills(tmp_path, system)
    assert second.rise().own == 1
    second.forget()
    assert not (tmp_path / oom_kills.FILE).exists()
    (tmp_path / oom_kills.FILE).write_text("[]")
    assert not OomKills(tmp_path, system).rise().readable


def test_elsewhere_there_is_nothing_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oom_kills.sys, "platform", "darwin")
    kills = OomKills(tmp_path, machine(tmp_path / "root", "0::/"))
    kills.look(PID)
    assert kills.rise() == Rise()
