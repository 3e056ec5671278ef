from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WEIGHTS = Path(__file__).with_name("weights.py")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of SmolLM2-135M-Instruct, converted in a process of its own."""
    ended = subprocess.run(
        [sys.executable, str(WEIGHTS)], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(ended.stdout.strip())
