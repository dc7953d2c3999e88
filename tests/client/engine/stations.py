"""People with several devices each, without a server: every device with its own store and all parts that work in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mensajeria.client.api import MessageKind, MessageState
from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.healing import Healer
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.me import SETTINGS_KEY, Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.people import Served, new_contact
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.engine.sealing import Sealer
from mensajeria.client.store import Store, Tx
from mensajeria.client.store.key_values import Share, ShareOutcome
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Did, Mid, ServerId, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import SenderAddress, ToDevice
from tests.client.blank import blank_store
from tests.crypto.people import NOW, SERVER, Person

T = TypeVar("T")


@dataclass
class Station:
    """One device of a person."""

    person: Person
    device: DeviceKeys
    store: Store
    clock: FakeClock
    me: Me
    memberships: Memberships
    rows: RowReader
    reader: EnvelopeReader
    healer: Healer
    sealer: Sealer
    mails: list[Mail] = field(default_factory=list)

    @property
    def address(self) -> tuple[Uid, Did]:
        return self.me.uid, self.me.did

    @property
    def last(self) -> Mail:
        return self.mails[-1]

    async def do(self, step: Callable[[Tx, Mail], T]) -> T:
        """Run a step in a transaction of its own and keep its outcome."""
        out = Mail()
        value = await self.store.run(lambda tx: step(tx, out))
        self.mails.append(out)
        return value

    async def write(self, chat_id: ChatId, *texts: str) -> tuple[list[bytes], list[Letter]]:
        """Rows of new messages, and the letters with their key; every device counts as having got it."""

        def step(tx: Tx, out: Mail) -> tuple[list[bytes], list[Letter]]:
            for text in texts:
                mid = Mid(os.urandom(16))
                message = NewMessage(
                    chat_id, mid, self.me.uid, True, MessageKind.TEXT, MessageState.QUEUED, NOW, text=text
                )
                tx.messages.add(message)
                tx.outbox.add(chat_id, mid, TEXT, text_body(text), NOW)
            plan = self.sealer.plan(tx, out, chat_id, 1000)
            letters = list(plan.letters)
            for letter in letters:
                assert letter.session_id is not None
                share = Share(letter.uid, letter.did, letter.idx, ShareOutcome.SHARED, NOW)
                tx.outbound.put_share(letter.session_id, share)
            if letters:
                plan = self.sealer.plan(tx, out, chat_id, 1000)
            sealed = [item for item in plan.ready if item.sealed is not None][-len(texts) :]
            return [item.sealed.outer for item in sealed if item.sealed is not None], letters

        return await self.do(step)

    async def read(self, chat_id: ChatId, first: int, rows: Sequence[bytes]) -> Mail:
        """Take rows of the log, numbered from `first`."""
        events = [Event(chat_id, first + n, NOW, EventKind.MESSAGE, row) for n, row in enumerate(rows)]
        await self.do(lambda tx, out: self.rows.apply(tx, out, chat_id, events, events[-1].seq))
        return self.last

    async def take(self, sender: Station, *letters: Letter) -> Mail:
        """Act on letters as if their envelopes had been opened, in one transaction."""
        opened = [self._opened(sender, letter) for letter in letters]

        def apply(tx: Tx, out: Mail) -> None:
            for inner in opened:
                self.reader._apply(tx, out, *sender.address, inner)

        await self.do(apply)
        return self.last

    def _opened(self, sender: Station, letter: Letter) -> ToDevice:
        assert (letter.uid, letter.did) == self.address, "for another device"
        return ToDevice(
            t=letter.type,
            sender=SenderAddress(
                uid=sender.me.uid, did=sender.me.did, idfp=sender.person.idfp, dl_ver=sender.person.list.ver
            ),
            recipient=sender.person.address,
            mid=os.urandom(16),
            ts=NOW,
            c=letter.content,
        )

    async def texts(self, chat_id: ChatId) -> list[str]:
        """What is shown, unreadable places by their cause."""

        def look(tx: Tx) -> list[str]:
            page = tx.messages.page(chat_id, limit=100)
            return [one.text if one.cause is None else f"<{one.cause.value}>" for one in page.messages]

        return await self.store.read(look)

    async def learn(self, *people: Person) -> None:
        """Pin the people's newest lists."""

        def pin(tx: Tx) -> None:
            for one in people:
                tx.contacts.put(new_contact(one.list, Served(one.uid, one.record, one.signed_list), NOW))

        await self.store.run(pin)


@asynccontextmanager
async def station(person: Person, device: DeviceKeys, others: Sequence[Person], folder: Path) -> AsyncIterator[Station]:
    """A device that knows these people and has a direct chat with the first of them."""
    clock = FakeClock(NOW)
    me = Me(ServerId(SERVER), Uid(person.uid), Did(device.did), person.handle, clock)
    memberships = Memberships(me)
    rows = RowReader(me, memberships)
    reader = EnvelopeReader(me, rows)
    healer = Healer(me, memberships, reader)
    sealer = Sealer(me, memberships, lambda _: 1_000_000)
    async with await blank_store(folder / f"{device.did.hex()}.db") as store:
        made = Station(person, device, store, clock, me, memberships, rows, reader, healer, sealer)
        await made.learn(person, *others)

        def prepare(tx: Tx) -> None:
            tx.own.put_device(device.dump())
            tx.own.put(SETTINGS_KEY, Secret(bytes(32)))
            peer = Uid(others[0].uid)
            tx.chats.ensure_direct(chat_of(person, others[0]), peer, accepted=True, note_to_self=False, now_ms=NOW)

        await store.run(prepare)
        yield made


def chat_of(one: Person, two: Person) -> ChatId:
    return ChatId(direct_chat_id(SERVER, one.uid, two.uid))
