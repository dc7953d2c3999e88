"""Files that go while they are uploaded: nothing of them is confirmed, and no byte stays behind that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.deletion import delete_account
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import file
from mensajeria.server.files.rows import LEASE_MS, begin_step
from mensajeria.server.settings import Settings
from mensajeria.server.state import Server
from tests.server.enrol import register
from tests.server.fixtures import ON_SQLITE, void

CONTENT = b"x" * 1000


@pytest.fixture
async def owner(server: Server) -> int:
    await register(server, "ana")
    found: int = await server.db.query(lambda db: db.execute(select(account.c.id)).scalar_one())
    return found


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.data_dir / "files"


class Step:
    """One step that stands still before its first byte, until it may go on."""

    def __init__(self, server: Server, owner: int) -> None:
        self._server, self._owner = server, owner
        self._asked, self._go_on = asyncio.Event(), asyncio.Event()

    async def begin(self) -> bytes:
        row = await self._server.files.create(self._owner, len(CONTENT))
        self._task = asyncio.create_task(
            self._server.files.step(row.file_id, self._owner, 0, len(CONTENT), self._bytes(), self._prove)
        )
        await self._asked.wait()
        return row.file_id

    async def end(self) -> int:
        self._go_on.set()
        return await self._task

    async def _bytes(self) -> AsyncIterator[bytes]:
        self._asked.set()
        await self._go_on.wait()
        yield CONTENT

    async def _prove(self) -> None: ...


def files_in(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


async def rows_of(server: Server) -> int:
    def count(db: Connection) -> int:
        return db.execute(select(func.count()).select_from(file)).scalar_one()

    return await server.db.query(count)


async def delete_owner(server: Server, owner: int) -> None:
    await server.db.write(lambda db: void(delete_account(db, owner, server.clock.now_ms())))


async def delete_file(server: Server, owner: int) -> None:
    file_id = await server.db.query(lambda db: db.execute(select(file.c.file_id)).scalar_one())
    await server.files.delete(file_id, owner)


@pytest.mark.parametrize("go", [delete_owner, delete_file])
async def test_what_goes_while_a_step_is_under_way_is_not_confirmed_and_leaves_nothing(
    server: Server, owner: int, folder: Path, go: Callable[[Server, int], Awaitable[None]]
) -> None:
    step = Step(server, owner)
    await step.begin()

    await go(server, owner)
    assert await server.files.sweep() == 0  # its bytes are still coming
    with pytest.raises(ProtocolError) as refused:
        await step.end()

    assert refused.value.code is Code.UPLOAD_CONFLICT
    assert await server.files.sweep() == 1
    assert (await rows_of(server), await asyncio.to_thread(files_in, folder)) == (0, 0)


async def test_an_upload_of_an_account_that_is_gone_cannot_begin(server: Server, owner: int) -> None:
    await delete_owner(server, owner)

    with pytest.raises(ProtocolError) as refused:
        await server.files.create(owner, len(CONTENT))

    assert refused.value.code is Code.LOGIN_REVOKED


@ON_SQLITE
@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_set_leaves_no_upload_locked(
    server: Server, clock: FakeClock, owner: int, hours: int
) -> None:
    row = await server.files.create(owner, len(CONTENT))
    then = clock.now_ms()
    await server.db.write(lambda db: void(begin_step(db, row.file_id, owner, 0, then)))
    clock.set_wall(then + hours * 3600 * 1000)
    assert abs(clock.now_ms() - then) > LEASE_MS

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT

    async def prove() -> None: ...

    assert await server.files.step(row.file_id, owner, 0, len(CONTENT), content(), prove) == len(CONTENT)
