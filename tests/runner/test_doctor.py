"""The doctor reads another Python's packages and imports none of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.runs import Trainwatch
from trainwatch.runner import doctor
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.triage.versions import Environment, Package


def install(site: Path, name: str, version: str, *requires: str) -> None:
    """Metadata, and a package that must not be imported."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    (site / f"{name}.py").write_text("raise SystemExit('it was imported')\n")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that has only what stands in `tmp_path / "site"`."""
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"} exec {sys.executable} -S "$@"\n'
    )
    program.chmod(0o755)
    return program


def test_misfits_are_told_with_their_evidence(
    python: Path, tmp_path: Path, trainwatch: Trainwatch
) -> None:
    site = tmp_path / "site"
    install(site, "peft", "0.17.0", "torch>=1.13.0")
    install(site, "Transformers", "5.2.0")
    install(site, "torch", "2.13.0")
    done = trainwatch("doctor", "--json", "--python", str(python))
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1
    assert answer["packages"]["transformers"] == "5.2.0"
    assert answer["packages"]["trl"] is None
    (misfit,) = answer["misfits"]
    assert misfit["id"] == "peft-hybrid-cache"
    assert misfit["versions"] == {"peft": "0.17.0", "transformers": "5.2.0"}
    assert "huggingface/transformers#44351" in misfit["evidence"]
    assert done.returncode == 1
    text = trainwatch("doctor", "--python", str(python))
    assert "✖ serious  peft 0.17.0, transformers 5.2.0" in text.stdout
    assert text.returncode == 1


def test_an_environment_that_fits(
    python: Path, tmp_path: Path, trainwatch: Trainwatch
) -> None:
    install(tmp_path / "site", "peft", "0.18.0", "transformers>=4")
    install(tmp_path / "site", "transformers", "5.2.0")
    done = trainwatch("doctor", "--python", str(python))
    assert done.returncode == 0
    assert "No versions that are known not to fit together." in done.stdout


def test_this_environment_is_read() -> None:
    environment = doctor.read_environment(sys.executable)
    assert environment.version("packaging")
    assert environment.markers["sys_platform"] == sys.platform
    assert environment.python.startswith("3.")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 3", "does not answer as a Python does"),
        ("echo '{}'", "does not answer as a Python does"),
        ("echo '[]'", "does not answer as a Python does"),
        ("echo oh >&2; exit 1", "does not answer as a Python does: oh"),
    ],
)
def test_what_is_no_python_is_refused(tmp_path: Path, script: str, says: str) -> None:
    program = tmp_path / "odd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(RefusedError, match=says):
        doctor.read_environment(str(program))


def test_a_python_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(doctor, "ASK_S", 0.2)
    with pytest.raises(RefusedError, match="did not answer"):
        doctor.read_environment(str(program))


def test_the_python_is_the_given_one_or_the_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.find_python(sys.executable) == sys.executable
    with pytest.raises(RefusedError, match="/nope is not a program"):
        doctor.find_python("/nope")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="no python on PATH"):
        doctor.find_python(None)
    (tmp_path / "python3").write_text("#!/bin/sh\n")
    (tmp_path / "python3").chmod(0o755)
    assert doctor.find_python(None) == str(tmp_path / "python3")


def test_a_torch_for_the_cpu_beside_a_driver() -> None:
    cpu = Environment(packages={"torch": Package("2.6.0+cpu")})
    cuda = Environment(packages={"torch": Package("2.6.0+cu124")})
    assert doctor.device_misfit(cpu, nvidia=False) is None
    assert doctor.device_misfit(cuda, nvidia=True) is None
    found = doctor.device_misfit(cpu, nvidia=True)
    assert found is not None
    assert found.severity == "attention"


def test_the_limits_of_memory_and_what_their_variables_do() -> None:
    told = doctor.memory({}, "linux")
    assert told["notes"] == []
    assert told["limits"][0]["bytes"] > 0
    high = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
    (note,) = doctor.memory({high: "0.0"}, "darwin")["notes"]
    assert note["severity"] == "attention"
    assert "guardrail, not a shrink ray" in note["summary"]
    (note,) = doctor.memory({high: "1.0"}, "darwin")["notes"]
    assert note["severity"] == "serious"
    (note,) = doctor.memory({high: "1.0"}, "linux")["notes"]
    assert note == {
        "severity": "harmless",
        "summary": f"{high}: no effect here, there is no Apple GPU",
        "do": "Nothing.",
    }
