"""What no phase of a step claims is small, in the examples as they are."""

from __future__ import annotations

import pytest

from support.examples import NAMES, Examples, other_share
from trainwatch.runner.demo import missing_packages

MOST = 0.05

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]


@pytest.mark.parametrize("name", NAMES)
def test_less_than_a_twentieth_of_a_step_is_other(
    name: str, examples: Examples
) -> None:
    assert 0 < other_share(examples.pair(name).events) < MOST
