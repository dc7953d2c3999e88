"""How long a new device takes to get its keys back from the backup: the real restore into the real encrypted store.

`python -m benchmarks.restore [keys]` (100,000). The server is a table in memory behind the JSON of the real endpoint:
network and the server's own time (about 5 ms for each 200 keys) come on top.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.lib import proc
from mensajeria.client.api import RestoreProgress
from mensajeria.client.engine.account_keys import RESTORE_WANTED, put_keys
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.history import History
from mensajeria.client.store import Tx
from mensajeria.crypto.backup import BackupSealer, SealedRow, session_counter
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.sender import OutboundSession, decode_room_key
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import api
from mensajeria.protocol.membership import start_direct
from mensajeria.protocol.records_backup import (
    PAGE_ENTRIES,
    SESSION_ROW,
    IndexEntry,
    IndexHead,
    IndexPage,
    SessionBackup,
)
from tests.client.engine.world import NOW, SERVER, Desk, Somebody, chat_of, desk

BACKUP, SETTINGS = Secret(b"b" * 32), Secret(b"s" * 32)


class Server:
    """Answers like `POST /v1/backup/rows/query`."""

    def __init__(self, rows: Sequence[SealedRow]) -> None:
        self._rows = {row.row_id: row for row in rows}

    async def find_backup(self, n: int, row_ids: Sequence[bytes]) -> list[SealedRow]:
        question = api.BackupQuery(n=n, row_ids=list(row_ids)).model_dump_json()
        asked = api.BackupQuery.model_validate_json(question).row_ids
        found = [self._rows[row_id] for row_id in asked if row_id in self._rows]
        models = [api.BackupRow(row_id=row.row_id, counter=row.counter, blob=row.blob) for row in found]
        answer = api.BackupPage(rows=models, more=False).model_dump_json()
        page = api.BackupPage.model_validate_json(answer)
        return [SealedRow(row.row_id, row.counter, row.blob) for row in page.rows]


def backup_of(author: Somebody, chat_id: bytes, owner: Somebody, count: int) -> list[SealedRow]:
    """What a device of the owner has put there: `count` sessions of the author in one chat."""
    sealer = BackupSealer(owner.uid, 1, BACKUP, SETTINGS)
    head = start_direct(chat_id, SERVER, owner.uid, author.uid).head
    rows: list[SealedRow] = []
    for _ in range(count):
        outbound = OutboundSession.create(author.device, chat_id=chat_id, head=head, dl_ver=1, now_ms=NOW)
        session = InboundSession.from_room_key(decode_room_key(outbound.room_key()), outbound.binding)
        export, first_index, _ = session.for_backup()
        record = SessionBackup(skb=session.signed_binding, export=export, first_index=first_index)
        rows.append(sealer.seal_session(record, session.binding, session_counter(0, proven=True)))
    did = owner.device.did
    entries = [IndexEntry(SESSION_ROW, row.row_id, row.counter) for row in rows]
    for page, start in enumerate(range(0, count, PAGE_ENTRIES)):
        part = tuple(entries[start : start + PAGE_ENTRIES])
        rows.append(sealer.seal_page(IndexPage(did=did, page=page, entries=part)))
    return [*rows, sealer.seal_head(IndexHead(did=did, entries=count))]


async def measure(count: int) -> dict[str, Any]:
    ana, bruno = Somebody.make("ana"), Somebody.make("bruno")
    rows = backup_of(bruno, chat_of(ana, bruno), ana, count)
    with tempfile.TemporaryDirectory() as folder:
        async with desk(ana, bruno, Path(folder)) as reader:
            return await _restore(reader, Server(rows), count, Path(folder))


async def _restore(reader: Desk, server: Server, count: int, folder: Path) -> dict[str, Any]:
    def prepare(tx: Tx) -> None:
        put_keys(tx, 1, BACKUP, SETTINGS, from_root=True)
        tx.meta.set(RESTORE_WANTED, b"1")

    await reader.store.run(prepare)
    emitter = Emitter()
    stream = emitter.stream(1_000_000)
    vault = SimpleNamespace(ceiling=1 << 40)
    context = Context(reader.me, reader.store, cast("Any", server), emitter, cast("Any", vault), folder)
    history = History(context, Directory(context))
    begun, cpu = time.perf_counter(), proc.own_cpu_ms()
    await history.begin()
    first = time.perf_counter() - begun
    await history.run()
    seconds = time.perf_counter() - begun
    emitter.end()
    steps = sum(isinstance(event, RestoreProgress) for event in await stream.next_batch())
    kept = await reader.store.read(lambda tx: tx.backup.count_known(1))
    assert kept == count, (kept, count)
    return {
        "keys": count,
        "seconds": round(seconds, 2),
        "cpu_s": round((proc.own_cpu_ms() - cpu) / 1000, 2),
        "first_2000_s": round(first, 2),
        "progress_events": steps,
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(asyncio.run(measure(count)), os.cpu_count(), "cores")


if __name__ == "__main__":
    main()
