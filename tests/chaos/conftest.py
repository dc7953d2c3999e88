"""The people are made once for each worker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from mensajeria.crypto import password
from tests.chaos.world import make_people

CHEAP_KIB: Final = 1024
"""Argon2id as it is, with a hundredth of its memory: what these tests are about is behind it."""


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password, "ARGON2_MEMORY_KIB", CHEAP_KIB)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a server and the profiles of its people."""
    folder = tmp_path_factory.mktemp("people")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "ARGON2_MEMORY_KIB", CHEAP_KIB)
        asyncio.run(make_people(folder))
    return folder
