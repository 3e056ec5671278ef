"""What is usual: of this run, else of the one before."""

from __future__ import annotations

from pathlib import Path

from support.signals import PID, T0, Run
from trainwatch.probes import events as ev
from trainwatch.runner import past, usual
from trainwatch.runner.fold import fold_all


def second_run(told: ev.UsualRecalled, phase: str) -> Run:
    run = Run.__new__(Run)
    run.events = []
    run.say(-60, ev.RunStarted("id2", "train")).say(-60, ev.ChildSpawned(PID))
    run.say(-60, told).say(-59, ev.ProcessJoined(role="rank"))
    run.say(0, ev.TrainingBegan("SFTTrainer", 0, 1000))
    return run.say(0, ev.PhaseObserved(PID, phase, T0, step=0))


def memory(home: Path, script: str = "train.py") -> past.Memory:
    return past.Memory(home, script)


def test_the_second_run_knows_on_its_first_step(tmp_path: Path) -> None:
    memory(tmp_path).remember(Run().state)
    told = memory(tmp_path).recall("")
    assert told is not None
    assert told.model == "Llama 10"
    run = second_run(told, "backward")
    assert "usual 1.0 s in the last run" in run.at(1).facts[0]
    assert run.at(29).state == "starting"
    assert run.at(31).state == "slow"


def test_a_first_step_may_take_as_long_as_the_one_before(tmp_path: Path) -> None:
    first = Run()
    slow = ev.StepEnded(1, seconds=60.0, phases={"forward": [1, 60.0]})
    first.events[5] = ev.of(slow, time=T0 - 22, pid=PID, rank=0)
    memory(tmp_path).remember(first.state)
    told = memory(tmp_path).recall("")
    assert told is not None
    assert second_run(told, "forward").at(200).state == "starting"


def test_models_and_scripts_stand_apart(tmp_path: Path) -> None:
    memory(tmp_path).remember(Run().state)
    assert memory(tmp_path).recall("Other 3") is None
    assert memory(tmp_path, "other.py").recall("") is None
    known = memory(tmp_path)
    assert known.recall("") is not None
    assert known.recall("Llama 10") is None, "it was told already"


def test_a_damaged_file_is_nothing(tmp_path: Path) -> None:
    memory(tmp_path).remember(Run().state)
    (path,) = (tmp_path / past.FOLDER).glob("*.json")
    assert path.stat().st_mode & 0o77 == 0
    whole = path.read_text()
    for text in ("", "{", "[]", whole.replace('"phases"', '"faces"')):
        path.write_text(text)
        assert memory(tmp_path).recall("") is None


def test_only_so_many_models_are_kept(tmp_path: Path) -> None:
    for number in range(past.MODELS + 3):
        run = Run()
        run.say(-1, ev.ModelDescribed(f"M{number}", 1, 1))
        memory(tmp_path).remember(run.state)
    assert memory(tmp_path).recall("M0 1") is None
    assert memory(tmp_path).recall(f"M{past.MODELS + 2} 1") is not None


def test_a_run_without_steps_teaches_nothing_of_steps() -> None:
    state = fold_all(Run().events[:5])
    assert state.lead is not None
    assert usual.learned(state.lead) == {}


def test_what_this_run_knows_goes_before_the_last_one() -> None:
    run = Run()
    last = {"fetch": [9.0, 50.0, 1.0, 60.0, 50.0]}
    state = run.say(-59, ev.UsualRecalled("r", "m", last)).state
    assert state.lead is not None
    assert usual.seconds(state, state.lead, "fetch") == (0.2, "")
    assert usual.slowest(state, state.lead, "fetch") == 0.2
    assert usual.seconds(state, state.lead, "save") == (None, "")
