"""The store as it ships, in processes of their own: SQLite cannot stop wiping its memory once it has begun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mensajeria.client.store import connection
from tests.support import shipped

ROOT = Path(__file__).parents[3]
PRAGMAS = ("journal_mode", "synchronous", "secure_delete", "temp_store", "cipher_memory_security", "foreign_keys")
OPEN = """
import json, sys
from pathlib import Path
from mensajeria.client.store.connection import create_store, open_store
from mensajeria.kit.secrets import Secret

path, key = Path(sys.argv[1]), Secret(bytes(range(32)))
create_store(path, key, lambda made: made.execute("INSERT INTO meta (name, value) VALUES ('kept', X'00FF')"))
opened = open_store(path, key)
pragmas = [str(opened.execute(f"PRAGMA {name}").fetchone()[0]) for name in sys.argv[2:]]
print(json.dumps([pragmas, opened.execute("SELECT hex(value) FROM meta WHERE name = 'kept'").fetchone()[0]]))
"""


def run(*arguments: object) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_pragmas_are_in_force_and_what_was_written_is_read(tmp_path: Path) -> None:
    pragmas, kept = json.loads(run("-c", OPEN, tmp_path / "store.db", *PRAGMAS))
    assert pragmas == ["wal", "2", "1", "2", "1", "1"]
    assert kept == "00FF"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_large_store_answers_at_once(tmp_path: Path) -> None:
    run("-m", "tests.client.store.speed", tmp_path / "store.db")


@pytest.mark.as_shipped
def test_no_test_turns_the_wiping_on_for_those_that_follow() -> None:
    assert str(connection.MEMORY_SECURITY) == ("ON" if shipped.ALWAYS else "OFF")
