"""No hot query reads a whole table, on either database, with rows in all of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, insert, select

from mensajeria.protocol import limits
from mensajeria.protocol.errors import ProtocolError
from mensajeria.protocol.records import MessageOuter, Signed
from mensajeria.server.accounts import (
    deletion,
    ending,
    identities,
    invites,
    login,
    member_invites,
    refresh,
    seen,
    sessions,
    signals,
)
from mensajeria.server.accounts import rest as accounts_rest
from mensajeria.server.accounts.seen import Seen
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.admin.audit import entries
from mensajeria.server.admin.commands import users_after
from mensajeria.server.admin.reports import list_reports
from mensajeria.server.backup import rows as backup
from mensajeria.server.chats import blocks, chain, cursors, membership, repository, requests, retention
from mensajeria.server.chats.cache import read_chat
from mensajeria.server.chats.cursors import Step
from mensajeria.server.chats.erase import Wish, erase
from mensajeria.server.chats.heads import HEADS, Viewer, one_head
from mensajeria.server.db import schema_chats, schema_content
from mensajeria.server.db.schema import account, device, kt_leaf
from mensajeria.server.devices import rest as device_rows
from mensajeria.server.devices.audience import contacts_of
from mensajeria.server.files import rows as files
from mensajeria.server.keys import claims, prekeys
from mensajeria.server.mailbox import store as mailbox
from mensajeria.server.mailbox.store import Put
from mensajeria.server.people import profiles
from mensajeria.server.realtime import healing, presence
from mensajeria.server.state import Server
from mensajeria.server.transparency import log, tree
from tests.server.enrol import register
from tests.server.fixtures import void
from tests.server.people import NOW_MS, PREKEY_ID, Person, insert_direct_chat, insert_people

PEOPLE, EVENTS = 60, 40
SCAN = re.compile(r"^SCAN (?!(page|own)$|.*(USING (COVERING )?INDEX|CONSTANT ROW))|Seq Scan on ", re.MULTILINE)
"""`page` and `own` are no tables: the rows that a query has just found."""


class World:
    """Rows in every table."""

    def __init__(self, server_id: bytes, people: list[Person], chats: list[tuple[int, bytes]], group: int) -> None:
        self.server_id, self.people, self.chats, self.group = server_id, people, chats, group
        self.ana, self.bruno = people[0], people[1]
        self.row, self.chat_id = chats[0]


class Done(Exception):  # noqa: N818 - undoes what was tried
    def __init__(self, plans: list[tuple[str, str]]) -> None:
        super().__init__()
        self.plans = plans


def message(mid: bytes) -> bytes:
    return msgspec.msgpack.encode(
        MessageOuter(1, 1, bytes(32), 0, bytes(32), 0, mid, b"x", hashlib.sha256(b"t" * 32).digest(), 1)
    )


def fill(db: Connection, server_id: bytes) -> World:
    people = insert_people(db, PEOPLE)
    chats = [insert_direct_chat(db, server_id, people[0], other) for other in people[1:9]]
    chats += [insert_direct_chat(db, server_id, one, people[-1]) for one in people[10:18]]
    first = people[0].account_id
    for row, _ in chats:
        names = [os.urandom(16) for _ in range(EVENTS)]
        rows = [
            {"chat": row, "seq": seq, "mid": mid, "ts": seq, "kind": 0, "body": message(mid)}
            for seq, mid in enumerate(names, 1)
        ]
        db.execute(insert(schema_chats.event), rows)
        due = [{"due_ms": seq, "chat": row, "seq": seq} for seq in range(1, EVENTS)]
        db.execute(insert(schema_content.event_due), due)
    db.execute(schema_chats.chat.update().values(last_seq=EVENTS))
    group = db.execute(
        insert(schema_chats.chat)
        .values(
            chat_id=b"g" * 32, kind=1, last_seq=EVENTS, last_ms=1, created_ms=1, member_seq=1, member_hash=b"h" * 32
        )
        .returning(schema_chats.chat.c.id)
    ).scalar_one()
    member = {"idfp": b"", "role": "member", "dl_floor": 0, "dl_last": 0, "floor_seq": 0, "removed_seq": None}
    db.execute(insert(schema_content.membership), [{"chat": group, "uid": one.uid, **member} for one in people])
    db.execute(
        insert(schema_content.membership_head).values(
            chat=group, timer_s=0, profile_ver=0, profile=b"", superseded_by=b""
        )
    )
    db.execute(insert(schema_content.member_event), [{"chat": group, "seq": n, "log_seq": n} for n in range(1, 30)])
    db.execute(insert(schema_content.chat_purge).values(chat=chats[-1][0], since_ms=1))
    db.execute(
        insert(schema_content.block),
        [{"account": first, "blocked": one.account_id, "created_ms": 1} for one in people[20:40]],
    )
    db.execute(
        insert(schema_content.backup_row),
        [
            {"account": first, "n": n, "row_id": os.urandom(16), "counter": 1, "blob": b"x"}
            for n in (1, 2)
            for _ in range(200)
        ],
    )
    db.execute(
        insert(schema_content.user_profile),
        [{"account": one.account_id, "ver": 1, "sealed": b"x", "changed_ms": 1} for one in people],
    )
    db.execute(
        insert(schema_content.file),
        [
            {"file_id": os.urandom(16), "account": one.account_id, "size": 1, "created_ms": 1, "expires_ms": 1 << 50}
            for one in people
        ],
    )
    db.execute(
        insert(schema_chats.mailbox),
        [
            {"device": one.device_id, "id": n, "prekey_id": 7, "ts": n, "blob": b"x"}
            for one in people
            for n in range(100, 109)
        ],
    )
    return World(server_id, people, chats, group)


def plans_of(db: Connection, work: Callable[[Connection], Any]) -> list[tuple[str, str]]:
    """The plan of every statement that `work` executes on the connection."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.append((statement, parameters[0] if many else parameters))

    event.listen(db, "before_cursor_execute", note)
    try:
        work(db)
    finally:
        event.remove(db, "before_cursor_execute", note)
    is_sqlite = db.dialect.name == "sqlite"
    if not is_sqlite:  # where an index can serve, it is taken, however few rows there are
        db.exec_driver_sql("SET LOCAL enable_seqscan = off")
    prefix = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    return [
        (statement, "\n".join(str(row[-1]) for row in db.exec_driver_sql(prefix + statement, parameters)))
        for statement, parameters in seen
    ]


def _erase(db: Connection, world: World) -> None:
    info = read_chat(db, world.chat_id)
    assert info is not None
    mid = db.execute(
        select(schema_chats.event.c.mid).where(schema_chats.event.c.chat == world.row).limit(1)
    ).scalar_one()
    assert erase(db, info, world.ana.uid, [Wish(mid, b"t" * 32), Wish(bytes(16), None)])[0] == ["erased", "unknown"]


def _file_step(db: Connection, world: World) -> None:
    row = files.create(db, world.ana.account_id, 1, quota=1 << 40, now_ms=1)
    files.begin_step(db, row.file_id, world.ana.account_id, 0, 7)
    files.give_up_step(db, row.file_id, 7)
    files.begin_step(db, row.file_id, world.ana.account_id, 0, 7)
    assert files.end_step(db, row.file_id, 0, 7, 1, now_ms=8, done_until=9)
    files.expire_now(db, row.file_id, 8)
    files.forget(db, row.file_id)


def _seen(db: Connection, world: World) -> None:
    if db.dialect.name == "sqlite":
        seen.store_sqlite(db, [Seen(world.ana.device_id, world.ana.did, 1, 1)])
    else:
        db.exec_driver_sql(seen.POSTGRES, ("{1}", "{1}", "{1}"))


def _drop(db: Connection, world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "current_version", lambda _db, _account: 2)
        backup.drop_versions(db, world.ana.account_id, 2)


def _finished(db: Connection) -> None:
    found = schema_content.file.c.file_id
    file_id = db.execute(select(found).where(schema_content.file.c.id == 1)).scalar_one()
    db.execute(schema_content.file.update().where(found == file_id).values(done=True))
    files.finished_file(db, file_id, 1)


def _use(db: Connection) -> None:
    with pytest.raises(ProtocolError):
        invites.use_invite(db, bytes(16), 1)


def _caller(db: Connection, did: bytes) -> None:
    query = select(*sessions._COLUMNS).join(account, account.c.id == device.c.account_id)
    db.execute(query.where(device.c.did.in_([did])))


def _login(w: World) -> Login:
    return Login(w.ana.account_id, w.ana.uid, w.ana.device_id, w.ana.did, w.ana.ck, 0)


HOT: dict[str, Callable[[Connection, World], Any]] = {
    "heads": lambda db, w: HEADS.within(db, account=w.ana.account_id, device=w.ana.device_id, after=b"", limit=100),
    "one head": lambda db, w: one_head(db, Viewer(w.ana.account_id, w.ana.device_id), w.chat_id),
    "events": lambda db, w: repository.events_after(db, w.row, w.chat_id, 3, 50),
    "chat with members": lambda db, w: read_chat(db, w.chat_id),
    "request limits": lambda db, w: requests.check_limits(db, w.ana.account_id, [w.people[50].account_id], NOW_MS * 2),
    "contacts": lambda db, w: requests.contacts_among(db, w.ana.account_id, [one.account_id for one in w.people[1:]]),
    "contacts of a changed list": lambda db, w: contacts_of(db, w.ana.account_id),
    "membership state": lambda db, w: chain.read_state(db, b"g" * 32, w.server_id),
    "device list": lambda db, w: chain.read_list(db, w.ana.uid),
    "chain": lambda db, w: membership.events_of_chain(db, w.group, 3),
    "known event": lambda db, w: membership._known(db, w.chat_id, Signed(b"x", bytes(64))),
    "access": lambda db, w: membership._has_access(db, w.row, w.ana.account_id),
    "removal": lambda db, w: membership._shut_out(db, w.row, [w.ana.uid]),
    "erase": _erase,
    "timers": lambda db, w: retention.erase_due(db, 10),
    "operator's rule": lambda db, w: retention.erase_old(db, 0, 10),
    "purge": lambda db, w: retention.purge_step(db),
    "is blocked": lambda db, w: blocks.is_blocked(db, w.ana.account_id, w.bruno.account_id),
    "blockers": lambda db, w: blocks.blockers_of(db, w.bruno.account_id, [w.ana.account_id]),
    "block": lambda db, w: blocks.add_block(db, w.bruno.account_id, w.ana.account_id, 1),
    "unblock": lambda db, w: blocks.remove_block(db, w.ana.account_id, w.people[21].account_id),
    "blocks": lambda db, w: blocks.BLOCKS.within(db, account=w.ana.account_id, after=b""),
    "backup page": lambda db, w: backup.rows_after(db, w.ana.account_id, 1, bytes(16)),
    "backup rows": lambda db, w: backup.rows_by_id(db, w.ana.account_id, 1, [bytes(16), os.urandom(16)]),
    "backup use": lambda db, w: backup.USE.within(db, account=w.ana.account_id),
    "backup drop": _drop,
    "backup put": lambda db, w: backup.put_rows(db, w.ana.account_id, 0, [(bytes(16), 1, b"x")]),
    "profile put": lambda db, w: profiles.put_profile(db, w.ana.account_id, 2, b"x", 1),
    "profile read": lambda db, w: profiles.profile_for(
        db, w.server_id, profiles.Reader(w.bruno.account_id, w.bruno.uid), w.ana.uid
    ),
    "file create": lambda db, w: files.create(db, w.ana.account_id, 1, quota=1 << 40, now_ms=1),
    "file step": _file_step,
    "file download": lambda db, w: _finished(db),
    "file sweep": lambda db, w: files.doomed(db, 5),
    "leaves": lambda db, w: tree.read_leaves(db, 1, 10),
    "label": lambda db, w: tree.newest_of(db, bytes(32)),
    "leaf": lambda db, w: log.append_leaf(db, label=bytes(32), ver=1, value_hash=bytes(32), now_ms=1),
    "prekeys": lambda db, w: prekeys.STATE.within(db, device=w.ana.device_id),
    "own devices": lambda db, w: device_rows.OWN.within(db, account=w.ana.account_id, did=w.ana.did),
    "keys by handle": lambda db, w: accounts_rest.KEYS_BY_HANDLE.within(db, handle="x"),
    "keys by uid": lambda db, w: accounts_rest.KEYS_BY_UID.within(db, uid=w.ana.uid),
    "mailbox put": lambda db, w: mailbox.put(db, [Put(w.ana.account_id, w.bruno.did, PREKEY_ID, b"x")], 1),
    "mailbox page": lambda db, w: mailbox.page(db, w.ana.device_id, 2),
    "mailbox ack": lambda db, w: mailbox.ack(db, w.ana.device_id, [1, 2]),
    "mailbox expiry": lambda db, w: mailbox.expire(db, 3),
    "caller": lambda db, w: _caller(db, w.ana.did),
    "login": lambda db, w: login._credentials(db, "x", bytes(32)),
    "a new login": lambda db, w: refresh.start_family(db, w.ana.device_id, 1),
    "the end of a login": lambda db, w: refresh.end_login(db, w.ana.device_id),
    "removed device": lambda db, w: ending.revoke_device(db, w.ana.device_id, 1),
    "deleted account": lambda db, w: deletion.delete_account(db, w.ana.account_id, 1),
    "admissions": _seen,
    "invite": lambda db, w: _use(db),
    "operator's page of accounts": lambda db, _w: users_after(db, after=3, limit=5),
    "operator's page of invites": lambda db, _w: invites.list_invites(db, before=9, limit=5),
    "operator's page of reports": lambda db, _w: list_reports(db, after=3, limit=5),
    "operator's page of the audit log": lambda db, _w: entries(db, before=9, limit=5),
    "own invites": lambda db, w: member_invites.page(db, _login(w), before=9, now_ms=1),
    "new invite": lambda db, w: member_invites.make(db, _login(w), uses=1, days=1, now_ms=1),
    "successions": lambda db, w: identities.successions_after(db, w.ana.uid, 0, 9),
    "claim": lambda db, w: claims._targets(db, w.ana.account_id, [w.bruno.did]),
    "one-time key": lambda db, w: prekeys.take_one_time_key(db, w.ana.device_id),
    "one-time keys left": lambda db, w: prekeys.count_one_time_keys(db, [w.ana.device_id]),
    "presence": lambda db, w: presence.contacts_to_tell(db, w.ana.account_id),
    "connected while Redis is away": lambda db, w: healing._live_keys(db, (w.ana.device_id,)),
    "signal": lambda db, w: signals._rows(db, [1, 2]),
    "cursors": lambda db, w: cursors.store(db, [Step(w.ana.device_id, w.ana.account_id, w.row, w.chat_id, 9)]),
}


async def test_no_hot_query_reads_a_whole_table(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await register(server, "zoe")
    monkeypatch.setattr(backup, "current_version", lambda _db, _account: 0)
    world = await server.db.write(lambda db: fill(db, server.facts.server_id))
    if not server.db.is_sqlite:
        await server.db.write(lambda db: void(db.exec_driver_sql("ANALYZE")))
    assert limits.MAX_EVENT_MEMBERS > PEOPLE

    bad = []
    for name, work in HOT.items():

        def attempt(db: Connection, work: Callable[[Connection, World], Any] = work) -> None:
            raise Done(plans_of(db, lambda connection: work(connection, world)))

        with pytest.raises(Done) as done:
            await server.db.write(attempt)
        assert done.value.plans, name
        bad += [(name, statement, plan) for statement, plan in done.value.plans if SCAN.search(plan)]
    assert bad == []


@pytest.mark.quick
async def test_a_whole_table_would_be_noticed(server: Server) -> None:
    await register(server, "zoe")

    def attempt(db: Connection) -> None:
        raise Done(plans_of(db, lambda connection: connection.execute(select(kt_leaf).where(kt_leaf.c.ts == 1))))

    with pytest.raises(Done) as done:
        await server.db.write(attempt)
    ((_, plan),) = done.value.plans
    assert SCAN.search(plan)
