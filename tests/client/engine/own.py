"""Devices of one account without a server: what they store and what they tell each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast

from mensajeria.client.api import SecurityKind, VerificationMethod
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.me import SETTINGS_KEY, Me
from mensajeria.client.engine.people import Served
from mensajeria.client.engine.shared_settings import record_of
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Chat, Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.kit.clock import FakeClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId, Did, ServerId, Uid
from mensajeria.protocol.records_backup import SettingRecord
from tests.client.blank import blank_store
from tests.crypto.people import NOW, SERVER, Person

if TYPE_CHECKING:
    from mensajeria.client.transport.rest.api import RestApi
    from mensajeria.client.vault import Vault


class HasUid(Protocol):
    """Somebody, by whatever is known of them."""

    @property
    def uid(self) -> bytes: ...


@dataclass
class Proofs:
    """What the server has of people's successions: the one thing that is asked of it here."""

    served: tuple[bytes, ...] = ()

    @property
    def users(self) -> Self:
        return self

    async def successions(self, _uid: bytes, _after: int) -> tuple[bytes, ...]:
        return self.served


@dataclass
class Own:
    """One of Ana's devices."""

    person: Person
    context: Context
    directory: Directory
    woken: list[ChatId] = field(default_factory=list)

    async def contact(self, uid: bytes) -> Contact:
        found = await self.context.store.read(lambda tx: tx.contacts.get(Uid(uid)))
        assert found is not None
        return found

    async def chat(self, chat_id: ChatId) -> Chat:
        found = await self.context.store.read(lambda tx: tx.chats.get(chat_id))
        assert found is not None
        return found

    async def verify(self, who: HasUid, idfp: bytes, method: VerificationMethod = VerificationMethod.EMOJI) -> bool:
        marks = self.context.marks
        return await self.context.commit(lambda tx, out: marks.verify(tx, out, Uid(who.uid), idfp, method))

    async def withdraw(self, uid: bytes) -> bool:
        return await self.context.commit(lambda tx, out: self.context.marks.withdraw(tx, out, Uid(uid)))

    async def accept(self, uid: bytes) -> bool:
        return await self.context.commit(lambda tx, out: self.context.marks.accept(tx, out, Uid(uid)))

    async def answer(self, chat_id: ChatId, *, accepted: bool) -> None:
        await self.context.commit(lambda tx, out: self.context.marks.answered(tx, out, chat_id, accepted=accepted))

    async def meet(self, served: Served, *successions: bytes) -> Contact:
        """The server shows the person's keys, and these proofs."""
        if successions:
            self.context.rest = cast("RestApi", Proofs(successions))
        return await self.directory._take(served, Uid(served.uid))

    async def untold(self) -> list[SettingRecord]:
        """What the other devices are to hear, once."""

        def read(tx: Tx) -> list[SettingRecord]:
            found = tx.settings.untold()
            for stored in found:
                tx.settings.told(stored.key, stored.counter)
            return [record_of(stored) for stored in found]

        return await self.context.store.run(read)

    async def take(self, *records: SettingRecord) -> Mail:
        mail = Mail()

        def step(tx: Tx, out: Mail) -> None:
            for record in records:
                self.context.settings.take(tx, out, record)

        await self.context.commit_with(mail, step)
        return mail

    async def hear(self, other: Own) -> Mail:
        """Take what the other device has to tell."""
        return await self.take(*await other.untold())

    async def kinds(self, uid: bytes) -> list[tuple[SecurityKind, str | None]]:
        def read(tx: Tx) -> list[tuple[SecurityKind, str | None]]:
            rows = tx.trust.timeline(ChatId(bytes(32)), [Uid(uid)], 99)
            return [(row.kind, row.params.get("method")) for row in rows]

        return await self.context.store.read(read)


def direct(tx: Tx, chat_id: ChatId, peer: HasUid, *, accepted: bool) -> None:
    tx.chats.ensure_direct(chat_id, Uid(peer.uid), accepted=accepted, note_to_self=False, now_ms=NOW)


@asynccontextmanager
async def opened(ana: Person, device: DeviceKeys, folder: Path, rest: object = None) -> AsyncIterator[Own]:
    """A device of Ana that has met nobody but her."""
    me = Me(ServerId(SERVER), Uid(ana.uid), Did(device.did), ana.handle, FakeClock(NOW))
    async with await blank_store(folder / f"{device.did.hex()}.db") as store:
        context = Context(me, store, cast("RestApi", rest or Proofs()), Emitter(), cast("Vault", None), folder)
        own = Own(ana, context, Directory(context))
        context.marks.wake = own.woken.append

        def prepare(tx: Tx) -> None:
            tx.own.put_device(device.dump())
            tx.own.put(SETTINGS_KEY, Secret(bytes(32)))

        await store.run(prepare)
        await own.meet(Served(ana.uid, ana.record, ana.signed_list))
        yield own
