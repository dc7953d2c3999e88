"""Two real people without a server: real identities, devices, sessions and stores."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mensajeria.client.engine.me import SETTINGS_KEY, Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import Served, new_contact
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.engine.sealing import Sealer
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Did, ServerId, Uid
from mensajeria.protocol.membership import direct_chat_id
from tests.client.blank import blank_store

SERVER = ServerId(b"s" * 16)
NOW = 1_790_000_000_000
T = TypeVar("T")


@dataclass
class Somebody:
    """A user with one device, and what the others pin of them."""

    handle: str
    device: DeviceKeys
    contact: Contact

    @property
    def uid(self) -> Uid:
        return self.contact.uid

    @classmethod
    def make(cls, handle: str) -> Somebody:
        uid = os.urandom(16)
        identity = AccountRoot.generate().identity(uid, RecoveryCode.generate().public)
        device = DeviceKeys.create(uid)
        device.first_prekeys(NOW)
        signed = identity.first_list(handle, device.card(identity.idfp, NOW), NOW)
        verified = verify_device_list(signed, identity.record, uid=uid)
        return cls(handle, device, new_contact(verified, Served(uid, identity.record, signed), NOW))


@dataclass
class Desk:
    """One person's store and the parts that work in it."""

    who: Somebody
    store: Store
    clock: FakeClock
    me: Me
    rows: RowReader
    sealer: Sealer
    outcomes: list[Outcome] = field(default_factory=list)

    async def do(self, step: Callable[[Tx, Outcome], T]) -> T:
        """Run a step in a transaction of its own and keep its outcome."""
        out = Outcome()
        value = await self.store.run(lambda tx: step(tx, out))
        self.outcomes.append(out)
        return value

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1]


@asynccontextmanager
async def desk(who: Somebody, other: Somebody, folder: Path) -> AsyncIterator[Desk]:
    """Open `who`'s store, in which the chat with `other` exists."""
    clock = FakeClock(NOW)
    me = Me(SERVER, who.uid, Did(who.device.did), who.handle, clock)
    memberships = Memberships(me)
    async with await blank_store(folder / f"{who.handle}.db") as store:
        made = Desk(who, store, clock, me, RowReader(me, memberships), Sealer(me, memberships, lambda _: 1_000_000))

        def prepare(tx: Tx) -> None:
            tx.contacts.put(who.contact)
            tx.contacts.put(other.contact)
            tx.own.put_device(who.device.dump())
            tx.own.put(SETTINGS_KEY, Secret(bytes(32)))
            tx.chats.ensure_direct(chat_of(who, other), other.uid, accepted=True, note_to_self=False, now_ms=NOW)

        await store.run(prepare)
        yield made


def chat_of(one: Somebody, two: Somebody) -> ChatId:
    return ChatId(direct_chat_id(SERVER, one.uid, two.uid))


def event(chat_id: ChatId, seq: int, body: bytes) -> Event:
    return Event(chat_id, seq, NOW, EventKind.MESSAGE, body)
