"""SmolLM2 speaks the same watched and bare."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.generation import check
from support.runs import Trainwatch

pytestmark = pytest.mark.real


def test_the_same_200_tokens_and_the_same_first_token(
    trainwatch: Trainwatch, smollm2: Path
) -> None:
    check(trainwatch, str(smollm2))
