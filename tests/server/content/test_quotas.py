"""The operator's list of what accounts take up, on both databases."""

from __future__ import annotations

import asyncio
import os

from sqlalchemy import Connection, insert, update

from mensajeria.server.admin.quotas import QuotaRow, quotas
from mensajeria.server.db.schema import device
from mensajeria.server.db.schema_content import backup_use, file
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from tests.server.people import Person, insert_people


async def test_the_pages_hold_everybody_once_the_largest_first(server: Server, settings: Settings) -> None:
    def fill(db: Connection) -> list[Person]:
        people = insert_people(db, 5)
        row = {"file_id": os.urandom(16), "account": people[3].account_id, "size": 10, "created_ms": 1, "expires_ms": 9}
        db.execute(insert(file), [row, row | {"file_id": os.urandom(16)}])
        db.execute(insert(backup_use).values(account=people[1].account_id, bytes=20))
        db.execute(update(device).where(device.c.id == people[4].device_id).values(mail_bytes=30))
        return people

    people = await server.db.write(fill)
    found: list[QuotaRow] = []
    after = 0
    while page := (await asyncio.to_thread(quotas, settings, after=after, limit=2)).accounts:
        assert len(page) <= 2
        found += page
        after = page[-1].id
    assert [one.id for one in found] == [people[n].account_id for n in (4, 1, 3, 0, 2)]
    assert [(one.file_bytes, one.backup_bytes, one.mail_bytes) for one in found[:3]] == [
        (0, 0, 30),
        (0, 20, 0),
        (20, 0, 0),
    ]
