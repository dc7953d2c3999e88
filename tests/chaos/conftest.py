"""The people are made once for each worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.people import make_people


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a server and the profiles of its people."""
    folder = tmp_path_factory.mktemp("people")
    asyncio.run(make_people(folder))
    return folder
