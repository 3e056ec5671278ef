"""`generate` under supervision: the tokens and the time of the first one."""

from __future__ import annotations

import pytest

from support.generation import check
from support.runs import Trainwatch

pytest.importorskip("transformers")
pytestmark = pytest.mark.e2e


def test_the_same_tokens_and_the_same_first_token(trainwatch: Trainwatch) -> None:
    check(trainwatch)
