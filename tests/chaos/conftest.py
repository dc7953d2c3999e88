"""The people are made once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.people import make_people
from tests.support.lifeline import MadeOnce


@pytest.fixture(scope="session")
def people(made_once: MadeOnce) -> Path:
    """A folder with a server and the profiles of its people."""
    return made_once("people", lambda folder: asyncio.run(make_people(folder)))
