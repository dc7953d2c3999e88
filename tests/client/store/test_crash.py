"""kill -9 of a real process in the middle of its transactions: what it reported is there, and nothing is half there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mensajeria.client.store.connection import open_store
from mensajeria.client.store.db import Db
from mensajeria.client.store.tx import Tx
from tests.client.store.people import CHAT, KEY, SESSION

ROOT = Path(__file__).parents[3]


def killed_run(path: Path, seconds: float) -> int:
    """Let the writer run, kill it that long after its first report; the last number that it reported."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.client.store.crash_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, "the writer did not start"
        time.sleep(seconds)
        process.kill()
        lines = [first, *process.stdout.read().splitlines(keepends=True)]
    return max(int(line) for line in lines if line.endswith("\n"))


def check(path: Path, reported: int) -> None:
    connection = open_store(path, KEY)
    db = Db(connection)
    tx = Tx(db)
    count = tx.own.gen()
    assert count >= reported
    chat = tx.chats.get(CHAT)
    outbound = tx.outbound.get(CHAT)
    assert chat is not None
    assert outbound is not None
    assert (chat.cursor, outbound.messages, outbound.state.reveal()) == (count, count, b"ratchet %d" % count)
    numbers = {
        "messages": "SELECT count(*) FROM messages WHERE NOT outgoing",
        "own messages": "SELECT count(*) FROM messages WHERE outgoing",
        "outbox": "SELECT count(*) FROM outbox WHERE outer IS NOT NULL",
        "indexes": "SELECT count(*) FROM seen_indices",
        "envelopes": "SELECT count(*) FROM seen_envelopes",
        "index of texts": "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'canario'",
    }
    assert {name: db.value(sql) for name, sql in numbers.items()} == dict.fromkeys(numbers, count)
    assert db.value("SELECT count(*) FROM unindexed") == 0
    assert tx.replays.missing(SESSION, 1, count + 1) == 0
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA cipher_integrity_check").fetchall() == []
    connection.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES('integrity-check', 1)")
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_killed_at_random_moments_again_and_again(tmp_path: Path) -> None:
    chance = random.Random()  # another sequence of moments in each run
    path = tmp_path / "store.db"
    for _ in range(15):
        check(path, killed_run(path, chance.uniform(0, 0.25)))


@pytest.mark.slow
def test_killed_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    check(path, killed_run(path, 0.05))
