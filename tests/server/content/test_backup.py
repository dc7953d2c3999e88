"""Key backups: rows that only grow newer, under the newest backup version alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import b64
from mensajeria.server.accounts.deletion import delete_account
from mensajeria.server.backup import rows as backup
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.state import Server
from tests.server.enrol import Person, register
from tests.server.fixtures import void
from tests.server.groups import problem


@pytest.fixture
async def ana(app_server: Server) -> Person:
    return await register(app_server, "ana")


@pytest.fixture
async def version(app_server: Server, ana: Person) -> int:
    account = (await app_server.authenticator.by_device(ana.device.did)).account_id
    return await app_server.db.query(lambda db: backup.current_version(db, account))


def row(number: int, blob: bytes = b"sealed", counter: int = 1) -> dict[str, Any]:
    return {"row_id": b64(number.to_bytes(16, "big")), "counter": counter, "blob": b64(blob)}


async def put(http: httpx.AsyncClient, by: Person, n: int, *rows: dict[str, Any]) -> httpx.Response:
    return await by.call(http, "PUT", "/v1/backup/rows", {"n": n, "rows": list(rows)})


async def read(http: httpx.AsyncClient, by: Person, n: int, after: str = "") -> dict[str, Any]:
    response = await by.call(http, "GET", f"/v1/backup/rows?n={n}" + (f"&after={after}" if after else ""))
    page: dict[str, Any] = response.json()
    return page


@pytest.mark.quick
async def test_rows_are_kept_and_paged(http: httpx.AsyncClient, ana: Person, version: int) -> None:
    await put(http, ana, version, *[row(number) for number in range(150)])
    answer = await put(http, ana, version, *[row(number) for number in range(150, 300)])
    assert answer.json() == {"used": 300 * 6, "quota": limits.BACKUP_BYTES}
    first = await read(http, ana, version)
    second = await read(http, ana, version, first["rows"][-1]["row_id"])

    assert first["rows"] + second["rows"] == [row(number) for number in range(300)]
    assert (len(first["rows"]), first["more"], second["more"]) == (200, True, False)
    some = {"n": version, "row_ids": [row(7)["row_id"], b64(b"\xff" * 16), row(3)["row_id"]]}
    found = await ana.call(http, "POST", "/v1/backup/rows/query", some)
    assert found.json() == {"rows": [row(3), row(7)], "more": False}


async def test_only_newer_versions_replace(http: httpx.AsyncClient, ana: Person, version: int) -> None:
    await put(http, ana, version, row(1, b"second", 2), row(2))
    late = await put(http, ana, version, row(1, b"first", 1), row(2, b"longer blob", 2), row(2, b"older", 1))

    assert late.json()["used"] == len(b"second") + len(b"longer blob")
    assert (await read(http, ana, version))["rows"] == [row(1, b"second", 2), row(2, b"longer blob", 2)]
    assert (await ana.call(http, "GET", "/v1/backup/use")).json()["used"] == late.json()["used"]


@pytest.mark.quick
async def test_other_versions_are_refused(
    http: httpx.AsyncClient, app_server: Server, ana: Person, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(http, ana, version, row(1))
    problem(await put(http, ana, version + 1, row(1)), 409, "list_conflict")
    problem(await ana.call(http, "DELETE", f"/v1/backup/rows?below={version + 1}"), 409, "list_conflict")

    monkeypatch.setattr(backup, "current_version", lambda _db, _account: version + 1)  # a device was removed
    problem(await put(http, ana, version, row(2)), 409, "list_conflict")
    assert (await put(http, ana, version + 1, row(1, b"new key"))).status_code == 200
    assert (await ana.call(http, "DELETE", f"/v1/backup/rows?below={version + 1}")).status_code == 204
    assert (await read(http, ana, version))["rows"] == []
    assert (await read(http, ana, version + 1))["rows"] == [row(1, b"new key")]
    assert (await ana.call(http, "GET", "/v1/backup/use")).json()["used"] == len(b"new key")


@pytest.mark.quick
async def test_quota(http: httpx.AsyncClient, ana: Person, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BACKUP_BYTES", 10)
    assert (await put(http, ana, version, row(1, b"12345678"))).status_code == 200
    problem(await put(http, ana, version, row(2, b"123")), 413, "quota_exceeded")
    assert (await put(http, ana, version, row(1, b"1234567890", 2))).status_code == 200
    assert len((await read(http, ana, version))["rows"]) == 1


async def test_everybody_sees_their_own(http: httpx.AsyncClient, app_server: Server, ana: Person, version: int) -> None:
    await put(http, ana, version, row(1))
    bruno = await register(app_server, "bruno")
    assert (await read(http, bruno, version))["rows"] == []


async def test_whose_account_goes_meanwhile_is_told_so(
    app_server: Server, http: httpx.AsyncClient, ana: Person, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = (await app_server.authenticator.by_device(ana.device.did)).account_id

    check = app_server.limiter.check

    async def between(limit: Limit, key: bytes) -> None:
        await check(limit, key)
        if limit is Limit.BACKUP_ACCOUNT:
            await app_server.db.write(lambda db: void(delete_account(db, account, 1)))

    monkeypatch.setattr(backup, "current_version", lambda _db, _account: version)  # as it was before the deletion
    monkeypatch.setattr(app_server.limiter, "check", between)
    answer = await put(http, ana, version, row(1))
    assert (answer.status_code, answer.json()["code"]) == (401, Code.UNAUTHORIZED)
