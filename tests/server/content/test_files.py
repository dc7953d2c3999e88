"""Files over REST: uploads that are resumed, downloads of parts, quota and expiry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.util import await_only

from mensajeria.kit.clock import FakeClock
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.ids import b64
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_content import file
from mensajeria.server.files import rows, service
from mensajeria.server.files.rows import LEASE_MS, begin_step
from mensajeria.server.files.storage import FolderStorage
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.groups import problem

STEP = limits.FILE_CHUNK_MIN
CONTENT = os.urandom(2 * STEP + 777)


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


async def create(http: httpx.AsyncClient, by: Person, size: int = len(CONTENT)) -> str:
    response = await by.call(http, "POST", "/v1/files", {"size": size})
    assert response.status_code == 201, response.text
    file_id: str = response.json()["file_id"]
    return file_id


async def step(
    http: httpx.AsyncClient, by: Person, file_id: str, offset: int, body: bytes, **changes: str
) -> httpx.Response:
    target = f"/v1/files/{file_id}"
    headers = by.headers("PATCH", target, body) | {"Upload-Offset": str(offset)} | changes
    return await http.patch(target, content=body, headers=headers)


async def upload(http: httpx.AsyncClient, by: Person, content: bytes = CONTENT) -> str:
    file_id = await create(http, by, len(content))
    for start in range(0, len(content), STEP):
        response = await step(http, by, file_id, start, content[start : start + STEP])
        assert response.status_code == 204, response.text
        assert response.headers["upload-offset"] == str(min(start + STEP, len(content)))
    return file_id


async def get(http: httpx.AsyncClient, by: Person, file_id: str, method: str = "GET", **headers: str) -> httpx.Response:
    target = f"/v1/files/{file_id}"
    return await http.request(method, target, headers=by.headers(method, target, b"") | headers)


@pytest.mark.quick
async def test_up_and_down(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    file_id = await upload(http, ana)
    bruno = await register(app_server, "bruno")
    whole = await get(http, bruno, file_id)
    head = await get(http, bruno, file_id, "HEAD")

    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(CONTENT)))
    assert whole.headers["etag"] == head.headers["etag"]
    assert whole.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=100-", 100, None), ("bytes=-5", -5, None), ("bytes=5-99999999", 5, None)],
)
async def test_parts(http: httpx.AsyncClient, ana: Person, wanted: str, start: int, stop: int | None) -> None:
    file_id = await upload(http, ana)
    part = await get(http, ana, file_id, Range=wanted)

    expected = CONTENT[start:stop]
    first = start if start >= 0 else len(CONTENT) + start
    assert (part.status_code, part.content) == (206, expected)
    assert part.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(CONTENT)}"
    assert part.headers["content-length"] == str(len(expected))
    again = await get(http, ana, file_id, Range=wanted, **{"If-Range": part.headers["etag"]})
    other = await get(http, ana, file_id, Range=wanted, **{"If-Range": '"another"'})
    assert (again.status_code, other.status_code, len(other.content)) == (206, 200, len(CONTENT))


async def test_ranges_that_are_none(http: httpx.AsyncClient, ana: Person) -> None:
    file_id = await upload(http, ana)
    for wanted in ("bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=9-3"):
        assert (await get(http, ana, file_id, Range=wanted)).status_code == 200
    for wanted in (f"bytes={len(CONTENT)}-", "bytes=-0"):
        problem(await get(http, ana, file_id, Range=wanted), 416, "range_invalid")


async def test_upload_goes_on_where_it_was(http: httpx.AsyncClient, ana: Person) -> None:
    file_id = await create(http, ana)
    await step(http, ana, file_id, 0, CONTENT[:STEP])
    wrong = await step(http, ana, file_id, 0, CONTENT[:STEP])
    state = await ana.call(http, "GET", f"/v1/files/{file_id}/upload")

    assert problem(wrong, 409, "upload_conflict")["detail"] == f"received {STEP}"
    assert (state.json()["received"], state.json()["size"]) == (STEP, len(CONTENT))
    problem(await get(http, ana, file_id), 404, "not_found")
    for start in (STEP, 2 * STEP):
        assert (await step(http, ana, file_id, start, CONTENT[start : start + STEP])).status_code == 204
    assert (await get(http, ana, file_id)).content == CONTENT


@pytest.mark.quick
async def test_bytes_that_are_not_signed_do_not_count(http: httpx.AsyncClient, ana: Person) -> None:
    file_id = await create(http, ana)
    signed_other = ana.headers("PATCH", f"/v1/files/{file_id}", b"other")
    refused = await step(http, ana, file_id, 0, CONTENT[:STEP], **signed_other)

    problem(refused, 401, "unauthorized")
    used = ana.headers("PATCH", f"/v1/files/{file_id}", CONTENT[:STEP])
    assert (await step(http, ana, file_id, 0, CONTENT[:STEP], **used)).status_code == 204
    replayed = await step(http, ana, file_id, STEP, CONTENT[:STEP], **used)
    problem(replayed, 401, "replayed")
    rest = await step(http, ana, file_id, STEP, CONTENT[STEP:])
    assert rest.status_code == 204
    assert (await get(http, ana, file_id)).content == CONTENT


async def test_steps_of_a_wrong_size(http: httpx.AsyncClient, ana: Person) -> None:
    file_id = await create(http, ana)
    problem(await step(http, ana, file_id, 0, CONTENT[: STEP - 1]), 400, "malformed")
    problem(await step(http, ana, file_id, 0, CONTENT + b"x"), 413, "too_large")
    problem(await step(http, ana, file_id, 0, b""), 400, "malformed")
    problem(await step(http, ana, file_id, -1, CONTENT[:STEP]), 400, "malformed")
    problem(await step(http, ana, b64(bytes(16)), 0, CONTENT[:STEP]), 404, "not_found")
    assert (await ana.call(http, "GET", f"/v1/files/{file_id}/upload")).json()["received"] == 0
    assert (await step(http, ana, file_id, 0, CONTENT)).status_code == 204
    problem(await step(http, ana, file_id, len(CONTENT), b"x"), 409, "upload_conflict")


async def test_two_steps_at_once(http: httpx.AsyncClient, ana: Person) -> None:
    file_id = await create(http, ana)
    both = await asyncio.gather(*[step(http, ana, file_id, 0, CONTENT[:STEP]) for _ in range(2)])

    codes = sorted(response.status_code for response in both)
    assert codes[0] == 204
    assert codes[1] in {401, 409}  # the other lost the place, or its counter was overtaken
    await step(http, ana, file_id, STEP, CONTENT[STEP:])
    assert (await get(http, ana, file_id)).content == CONTENT


async def test_lease_of_a_process_that_died_ends(
    http: httpx.AsyncClient, app_server: Server, clock: FakeClock, ana: Person
) -> None:
    file_id = await create(http, ana)
    raw = await app_server.db.query(lambda db: db.execute(select(file.c.file_id, file.c.account)).one())
    now = clock.now_ms()
    await app_server.db.write(lambda db: void(begin_step(db, raw.file_id, raw.account, 0, now)))
    problem(await step(http, ana, file_id, 0, CONTENT[:STEP]), 409, "upload_conflict")
    clock.advance(LEASE_MS / 1000 + 1)
    assert (await step(http, ana, file_id, 0, CONTENT[:STEP])).status_code == 204


def void(_result: object) -> None:
    pass


@pytest.mark.quick
async def test_quota_and_size(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    app_server.files._quota, app_server.files._max_size = 1000, 900
    problem(await ana.call(http, "POST", "/v1/files", {"size": 901}), 413, "too_large")
    first = await create(http, ana, 600)
    problem(await ana.call(http, "POST", "/v1/files", {"size": 401}), 413, "quota_exceeded")
    assert (await ana.call(http, "DELETE", f"/v1/files/{first}")).status_code == 204
    await create(http, ana, 401)


async def test_uploads_that_begin_together_share_no_room(
    app_server: Server, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_server.files._quota = 1000
    if not app_server.db.is_sqlite:  # there one thread writes: nothing could come between

        def slowly() -> bytes:
            """Between looking how much room there is and taking it."""
            await_only(asyncio.sleep(0.05))
            return os.urandom(16)

        monkeypatch.setattr(rows, "random16", slowly)
    owner = await account_of(app_server)
    begun = await asyncio.gather(*(app_server.files.create(owner, 300) for _ in range(9)), return_exceptions=True)

    refused = [one for one in begun if isinstance(one, ProtocolError)]
    assert [one.code for one in refused] == [Code.QUOTA_EXCEEDED] * 6
    assert await app_server.db.query(lambda db: db.execute(select(func.sum(file.c.size))).scalar_one()) == 900


async def test_only_the_owner_changes_a_file(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    file_id = await create(http, ana)
    bruno = await register(app_server, "bruno")
    problem(await step(http, bruno, file_id, 0, CONTENT[:STEP]), 404, "not_found")
    problem(await bruno.call(http, "GET", f"/v1/files/{file_id}/upload"), 404, "not_found")
    problem(await bruno.call(http, "DELETE", f"/v1/files/{file_id}"), 404, "not_found")


async def test_expired_unfinished_and_ownerless_files_go(
    http: httpx.AsyncClient, app_server: Server, clock: FakeClock, ana: Person, settings: Any
) -> None:
    finished, unfinished = await upload(http, ana), await create(http, ana)
    await step(http, ana, unfinished, 0, CONTENT[:STEP])
    folder = settings.data_dir / "files"

    def left() -> int:
        return sum(path.is_file() for path in folder.rglob("*"))

    assert await asyncio.to_thread(left) == 2
    clock.advance(25 * 3600)
    assert await app_server.files.sweep() == 1
    assert await asyncio.to_thread(left) == 1
    clock.advance(90 * 24 * 3600)
    problem_row = await app_server.db.query(lambda db: db.execute(select(func.count()).select_from(file)).scalar_one())
    assert problem_row == 1
    assert await app_server.files.sweep() == 1
    assert await asyncio.to_thread(left) == 0
    assert finished != unfinished


async def test_an_upload_that_expired_takes_no_more(app_server: Server, clock: FakeClock, ana: Person) -> None:
    files, owner = app_server.files, await account_of(app_server)
    row = await files.create(owner, len(CONTENT))
    clock.advance(24 * 3600)

    for refused in (
        files.step(row.file_id, owner, 0, len(CONTENT), pieces(CONTENT), nothing),
        files.own(row.file_id, owner),
    ):
        with pytest.raises(ProtocolError) as caught:
            await refused
        assert caught.value.code == Code.NOT_FOUND


async def test_a_step_under_way_when_its_upload_expires_is_never_confirmed(
    app_server: Server, clock: FakeClock, ana: Person
) -> None:
    """The sweep takes the bytes at that moment: an answer that they are stored would be a lie."""
    files, owner = app_server.files, await account_of(app_server)
    row = await files.create(owner, len(CONTENT))

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:100]
        clock.advance(24 * 3600)
        yield CONTENT[100:]

    with pytest.raises(ProtocolError) as caught:
        await files.step(row.file_id, owner, 0, len(CONTENT), slowly(), nothing)
    assert caught.value.code == Code.UPLOAD_CONFLICT
    assert await files.sweep() == 1


async def test_bytes_that_drip_do_not_keep_the_place(
    app_server: Server, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STEP_S", 0.05)
    files, owner = app_server.files, await account_of(app_server)
    row = await files.create(owner, len(CONTENT))

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    with pytest.raises(ProtocolError) as caught:
        await files.step(row.file_id, owner, 0, len(CONTENT), dripping(), nothing)
    assert caught.value.code == Code.UNAVAILABLE
    assert await files.step(row.file_id, owner, 0, len(CONTENT), pieces(CONTENT), nothing) == len(CONTENT)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def nothing() -> None:
    """The caller has signed it."""


async def account_of(server: Server) -> int:
    """The row id of the only account."""
    found: int = await server.db.query(lambda db: db.execute(select(account.c.id)).scalar_one())
    return found


async def test_files_of_a_deleted_account_go(http: httpx.AsyncClient, app_server: Server, ana: Person) -> None:
    await upload(http, ana)
    await app_server.db.write(lambda db: void(db.execute(file.update().values(account=None))))
    assert await app_server.files.sweep() == 1
    rows = await app_server.db.query(lambda db: db.execute(select(func.count()).select_from(file)).scalar_one())
    assert rows == 0


async def test_large_steps_are_streamed(http: httpx.AsyncClient, ana: Person) -> None:
    content = os.urandom(6 << 20)
    file_id = await create(http, ana, len(content))
    assert (await step(http, ana, file_id, 0, content)).status_code == 204
    assert (await get(http, ana, file_id, Range="bytes=5000000-5000009")).content == content[5_000_000:5_000_010]


async def test_a_lost_file_is_told_as_unavailable(
    http: httpx.AsyncClient, app_server: Server, ana: Person, settings: Any
) -> None:
    file_id = await upload(http, ana)
    raw = await app_server.db.query(lambda db: db.execute(select(file.c.file_id)).scalar_one())
    await FolderStorage(settings.data_dir / "files").delete(raw)
    problem(await get(http, ana, file_id), 503, "unavailable")
