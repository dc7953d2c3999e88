"""Ana's group with Bruno and Carla, without a server: a chain as its members sign it, and a store for each of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mensajeria.client.engine.group_profiles import GroupProfiles
from mensajeria.client.engine.me import SETTINGS_KEY, Me
from mensajeria.client.engine.membership import Memberships, verify_chain
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.engine.sealing import Sealer
from mensajeria.client.engine.shared_settings import SettingsBook
from mensajeria.client.store import Tx
from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Did
from mensajeria.protocol.membership import event_hash, group_chat_id
from mensajeria.protocol.records import Member, MemberEvent, Signed
from tests.client.blank import blank_store
from tests.client.engine.world import NOW, SERVER, Desk, Somebody


@dataclass
class GroupDesk(Desk):
    """A desk with what groups need."""

    memberships: Memberships = field(kw_only=True)
    profiles: GroupProfiles = field(kw_only=True)


def member(who: Somebody, role: str = "member") -> Member:
    return Member(uid=who.uid, idfp=who.contact.idfp, role=role)


@dataclass
class Log:
    """A group's log as it grows: membership events and messages in one numbering."""

    chat_id: ChatId
    seq: int
    hash: bytes
    rows: list[Event]

    @classmethod
    def create(cls, owner: Somebody, *others: Somebody, roles: dict[str, str] | None = None) -> Log:
        roles = roles or {}
        named = [member(owner, "owner"), *[member(other, roles.get(other.handle, "member")) for other in others]]
        signed = sign(owner, type="create", members=tuple(sorted(named, key=lambda one: one.uid)), nonce=os.urandom(16))
        log = cls(ChatId(group_chat_id(signed.body)), 0, b"", [])
        log.put(signed)
        return log

    def next(self, by: Somebody, type_: str, **fields: Any) -> Signed:
        """The event that follows, not yet in the log."""
        place = {"chat_id": self.chat_id, "seq": self.seq + 1, "prev": self.hash}
        return sign(by, type=type_, **{**place, **fields})

    def put(self, signed: Signed) -> Event:
        """A valid event as the next row."""
        self.seq, self.hash = self.seq + 1, event_hash(signed.body)
        return self.row(EventKind.MEMBER, encode(signed))

    def row(self, kind: EventKind, body: bytes) -> Event:
        self.rows.append(Event(self.chat_id, len(self.rows) + 1, NOW, kind, body))
        return self.rows[-1]


def sign(by: Somebody, **fields: Any) -> Signed:
    base: dict[str, Any] = {
        "chat_id": bytes(32), "seq": 1, "prev": bytes(32), "by_uid": by.uid, "by_did": by.device.did, "dl_ver": 1,
        "ts": NOW,
    }  # fmt: skip
    return by.device.member_event(MemberEvent(**{**base, **fields}))


@asynccontextmanager
async def seated(who: Somebody, known: list[Somebody], log: Log, folder: Path) -> AsyncIterator[GroupDesk]:
    """`who`'s store, in which the group stands as its create event makes it; of the others they know `known`."""
    clock = FakeClock(NOW)
    me = Me(SERVER, who.uid, Did(who.device.did), who.handle, clock)
    memberships = Memberships(me)
    async with await blank_store(folder / f"{who.handle}.db") as store:
        rows, profiles = RowReader(me, memberships), GroupProfiles(memberships, SettingsBook(me))
        rows.members.applied = profiles.applied
        made = GroupDesk(
            who, store, clock, me, rows, Sealer(me, memberships, lambda _: 1_000_000), memberships=memberships,
            profiles=profiles,
        )  # fmt: skip

        def prepare(tx: Tx) -> None:
            for one in (who, *known):
                tx.contacts.put(one.contact)
            tx.own.put_device(who.device.dump())
            tx.own.put(SETTINGS_KEY, Secret(bytes(32)))
            tx.chats.ensure_group(log.chat_id, accepted=True, now_ms=NOW)
            found = verify_chain(log.chat_id, [(signed_in(log.rows[0]), 1)], memberships.lookup(tx))
            assert found is not None
            memberships.start_group(tx, log.chat_id, found[1], found[0])

        await store.run(prepare)
        yield made


def signed_in(row: Event) -> Signed:
    return msgspec.msgpack.decode(row.body, type=Signed)


async def show(desk: GroupDesk, *rows: Event) -> Outcome:
    """Rows of the log arrive."""
    await desk.do(lambda tx, out: desk.rows.apply(tx, out, ChatId(rows[0].chat_id), rows, rows[-1].seq))
    return desk.last
