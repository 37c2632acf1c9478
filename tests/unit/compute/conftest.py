"""One compute process for all tests of this folder: starting it costs seconds.

It computes in float32, so that what has to be equal is equal on every processor.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from imfl_engine.compute.client import Compute

sys.path.insert(0, str(Path(__file__).parent))  # for compute_helpers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def compute(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Compute]:
    made = Compute(tmp_path_factory.mktemp("compute"), device="cpu:float32", threads=1)
    await made.start()
    yield made
    await made.close()
