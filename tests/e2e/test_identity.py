"""An example computes the same, bit by bit, with and without trainwatch."""

from __future__ import annotations

import pytest

from support.examples import NAMES, STEPS, Examples
from trainwatch.runner.demo import missing_packages

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_weights_are_bit_identical(name: str, examples: Examples) -> None:
    ran = examples.pair(name)
    assert len(set(ran.bare.losses)) >= STEPS
    assert ran.watched.losses == ran.bare.losses
    if name != "plain_loop":
        assert len(ran.bare.history()) >= STEPS
    assert ran.watched.history() == ran.bare.history()
    assert len(ran.bare.weights()) > 1
    assert ran.watched.weights() == ran.bare.weights()
