from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.examples import Examples


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """Their checkpoints fill a disk, so the folder goes away."""
    made = Examples(tmp_path_factory.mktemp("examples"))
    yield made
    shutil.rmtree(made.folder)
