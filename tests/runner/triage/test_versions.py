"""Versions that do not fit together, from data and from metadata."""

from __future__ import annotations

from typing import Any

import pytest

from trainwatch.runner.triage.versions import (
    Environment,
    Misfit,
    Package,
    Pair,
    misfits,
    pairs,
    parse,
)

MARKERS = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x"}


def environment(python: str = "3.11.4", **packages: Any) -> Environment:
    return Environment(
        python,
        "/v/bin/python",
        {
            name.replace("_", "-"): p if isinstance(p, Package) else Package(p)
            for name, p in packages.items()
        },
        MARKERS,
    )


def ids(found: list[Misfit]) -> dict[str, str]:
    return {misfit.id: misfit.severity for misfit in found}


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.id)
def test_a_pair_breaks_and_fits_as_its_examples_say(pair: Pair) -> None:
    assert set(pair.breaks) == set(pair.fits) == set(pair.packages)
    assert ids(misfits(environment(**pair.breaks))) == {pair.id: pair.severity}
    assert pair.id not in ids(misfits(environment(**pair.fits)))
    for name in pair.packages:
        alone = {k: v for k, v in pair.breaks.items() if k != name}
        assert misfits(environment(**alone)) == []


def test_every_pair_explains_itself() -> None:
    assert len({pair.id for pair in pairs()}) == len(pairs())
    for pair in pairs():
        assert pair.severity in ("serious", "attention")
        assert pair.why.endswith(".")
        assert pair.do
        assert pair.evidence
        assert all("#" in source for source in pair.evidence)


def test_what_a_package_asks_for_itself() -> None:
    trl = Package("1.16.0", ("transformers>=4.56.2", "jinja2", "numpy>=1.26"))
    (misfit,) = misfits(
        environment(trl=trl, transformers="4.46.0", jinja2="3", numpy="1.26.4")
    )
    assert (misfit.severity, misfit.versions) == (
        "serious",
        {"trl": "1.16.0", "transformers": "4.46.0"},
    )
    assert "trl 1.16.0: it asks for transformers>=4.56.2" in misfit.why
    assert misfit.evidence == (
        "metadata of trl 1.16.0: Requires-Dist: transformers>=4.56.2",
    )


def test_what_training_does_not_stand_on_weighs_less() -> None:
    torch = Package("2.6.0", ("setuptools>=77", "jinja2", "numpy>=3"))
    found = ids(misfits(environment(torch=torch, setuptools="70", numpy="2.0.0")))
    assert found == {
        "torch-numpy": "serious",
        "torch-setuptools": "attention",
        "torch-jinja2": "attention",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('accelerate>=1.1; extra == "torch"', {"transformers-accelerate": "attention"}),
        ('accelerate>=1.1; extra == "testing"', {}),
        ('accelerate>=1.1; extra == "deepspeed-testing"', {}),
        ('ruff==0.14; extra == "torch"', {}),
        ('vllm>=9; extra == "vllm"', {}),  # not there, and nobody asked for it
        ('accelerate>=1.1; python_version < "3.9"', {}),
        ('accelerate>=1.1; sys_platform == "linux"', {"transformers-accelerate": "s"}),
        ("this is ( no requirement", {}),
    ],
)
def test_markers_and_extras(line: str, expected: dict[str, str]) -> None:
    transformers = Package("4.50.0", (line,))
    found = ids(
        misfits(environment(transformers=transformers, accelerate="1.0.1", ruff="0.17"))
    )
    assert set(found) == set(expected)
    for key, severity in expected.items():
        assert found[key].startswith(severity)


def test_the_python_itself() -> None:
    trl = Package("1.16.0", (), ">=3.11")
    assert ids(misfits(environment(python="3.10.13", trl=trl))) == {
        "trl-python": "serious"
    }
    assert misfits(environment(python="3.12.0", trl=trl)) == []


def test_a_package_that_is_there_twice() -> None:
    peft = Package("0.18.0", others=("0.11.0",))
    (misfit,) = misfits(environment(peft=peft))
    assert (misfit.id, misfit.severity) == ("peft-twice", "attention")
    same = Package("0.18.0", others=("0.18.0",))
    assert misfits(environment(peft=same)) == []


@pytest.mark.parametrize("version", ["2.2.0a0+git1234", "2.2.2+cpu", "nonsense"])
def test_odd_versions_are_read_or_left_alone(version: str) -> None:
    found = ids(misfits(environment(torch=version, numpy="2.1")))
    assert set(found) == (set() if version == "nonsense" else {"torch-numpy-2"})


@pytest.mark.parametrize(
    "text", ["[[pair]]\nid = 'x'", "[[pair]]\nid = 'x'\npackages = {a = 'bad!'}", "["]
)
def test_broken_data_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse(text)
