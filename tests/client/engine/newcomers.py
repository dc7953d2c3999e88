"""Ana's group with Bruno, to which Dora is added later: devices without a server, over one log."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mensajeria.client.api import Cause, HistoryChoice, Message, MessageKind, MessageState
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.given_keys import GivenKeys
from mensajeria.client.engine.giving import Giver
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.membership import verify_chain
from mensajeria.client.store import Tx
from mensajeria.client.store.history import Window
from mensajeria.client.store.key_values import Share, ShareOutcome
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import event_hash, group_chat_id
from mensajeria.protocol.records import Member, MemberEvent, Signed
from tests.client.engine.stations import Station, station
from tests.crypto.people import DAY, NOW, Person


@dataclass
class Guest:
    """A device in the group, with what it needs to give and to take earlier messages."""

    at: Station
    giver: Giver
    given: GivenKeys
    cursor: int = 0


@dataclass
class Circle:
    """The log and who reads it. `now` is the server's clock and everybody's."""

    ana: Guest
    bruno: Guest
    dora: Guest
    chat_id: ChatId = field(default=ChatId(bytes(32)))
    hash: bytes = b""
    events: int = 0
    rows: list[Event] = field(default_factory=list)
    now: int = NOW

    @property
    def guests(self) -> tuple[Guest, Guest, Guest]:
        return self.ana, self.bruno, self.dora

    # --- membership ---

    def event(self, by: Guest, kind: str, **fields: Any) -> Event:
        """The next membership event, as a row of the log."""
        place = {"chat_id": self.chat_id, "seq": self.events + 1, "prev": self.hash}
        if kind == "create":
            place = {"chat_id": bytes(32), "seq": 1, "prev": bytes(32)}
        body = MemberEvent(
            by_uid=by.at.me.uid, by_did=by.at.me.did, dl_ver=by.at.person.list.ver, type=kind, ts=self.now,
            **{**place, **fields},
        )  # fmt: skip
        signed = by.at.device.member_event(body)
        if kind == "create":
            self.chat_id = ChatId(group_chat_id(signed.body))
        self.events, self.hash = self.events + 1, event_hash(signed.body)
        return self.put(EventKind.MEMBER, encode(signed))

    def put(self, kind: EventKind, body: bytes) -> Event:
        self.rows.append(Event(self.chat_id, len(self.rows) + 1, self.now, kind, body))
        return self.rows[-1]

    async def open(self, guest: Guest) -> None:
        """What a client does with an announced group: its log begins where one came in."""
        signed = [(signed_in(row), row.seq) for row in self.rows if row.kind == EventKind.MEMBER]

        def step(tx: Tx, _: Mail) -> int:
            memberships = guest.at.memberships
            tx.chats.ensure_group(self.chat_id, accepted=True, now_ms=NOW)
            found = verify_chain(self.chat_id, signed, memberships.lookup(tx))
            assert found is not None
            valid, chain = found
            memberships.start_group(tx, self.chat_id, chain, valid)
            joined = chain.joined(guest.at.me.uid)
            assert joined is not None
            chat = tx.chats.get(self.chat_id)
            assert chat is not None
            row = chain.row_of(joined)
            out_since = chain.out_since(guest.at.me.uid, joined)
            tx.groups.set_joined(self.chat_id, row, min(chat.cursor, out_since) + 1)
            if row - 1 > chat.cursor:
                tx.chats.advance_cursor(self.chat_id, row - 1)
            return max(row - 1, chat.cursor)

        guest.cursor = await guest.at.do(step)

    async def add_dora(self, history: HistoryChoice, by: Guest | None = None) -> Event:
        """Dora comes in, with a choice of history by whoever adds her."""
        by = by or self.ana
        uids = [self.dora.at.me.uid]
        await by.at.do(lambda tx, _: by.giver.want(tx, self.chat_id, uids, history))
        row = self.event(by, "add", members=(member(self.dora),))
        await self.read(by)
        await self.open(self.dora)
        return row

    # --- messages ---

    async def write(self, by: Guest, *texts: str, expire_s: int = 0) -> list[Event]:
        """Texts, sealed, with their keys given to everybody who is in, and acked."""

        def queue(tx: Tx, _: Mail) -> None:
            for text in texts:
                mid = Mid(os.urandom(16))
                tx.messages.add(
                    NewMessage(
                        self.chat_id, mid, by.at.me.uid, outgoing=True, kind=MessageKind.TEXT,
                        state=MessageState.QUEUED, sent_ms=self.now, text=text, expire_s=expire_s,
                    )
                )  # fmt: skip
                tx.outbox.add(self.chat_id, mid, TEXT, text_body(text), self.now, expire_s=expire_s)

        await by.at.do(queue)
        return await self.flush(by)

    async def flush(self, by: Guest) -> list[Event]:
        """What lies in the outbox goes into the log."""

        def seal(tx: Tx, out: Mail) -> tuple[list[bytes], list[Letter]]:
            plan = by.at.sealer.plan(tx, out, self.chat_id, 1000)
            letters = list(plan.letters)
            for letter in letters:
                assert letter.session_id is not None
                tx.outbound.put_share(
                    letter.session_id, Share(letter.uid, letter.did, letter.idx, ShareOutcome.SHARED, NOW)
                )
            if letters:
                plan = by.at.sealer.plan(tx, out, self.chat_id, 1000)
            first = len(self.rows) + 1
            bodies = [item.sealed.outer for item in plan.ready if item.sealed is not None]
            for seq, item in enumerate(plan.ready, first):
                acknowledge(tx, out, by.at.me, self.chat_id, item.mid, seq, self.now)
            tx.chats.advance_cursor(self.chat_id, first + len(bodies) - 1)
            return bodies, letters

        await self.read(by)
        bodies, letters = await by.at.do(seal)
        for letter in letters:
            await self.guest(letter).at.take(by.at, letter)
        rows = [self.put(EventKind.MESSAGE, body) for body in bodies]
        by.cursor = len(self.rows)
        return rows

    def guest(self, letter: Letter) -> Guest:
        return next(one for one in self.guests if one.at.me.did == letter.did)

    async def read(self, *guests: Guest) -> None:
        """Read the log to its end."""
        for guest in guests:
            rows, upto = self.rows[guest.cursor :], len(self.rows)
            if rows:
                await guest.at.do(lambda tx, out: guest.at.rows.apply(tx, out, self.chat_id, rows, upto))  # noqa: B023
                guest.cursor = upto

    # --- history ---

    async def tell(self, by: Guest | None = None) -> None:
        """The giver fixes what is given and tells the group."""
        by = by or self.ana
        await by.at.do(by.giver.settle)
        await self.flush(by)

    async def owed(self, by: Guest | None = None) -> list[Letter]:
        """The letters with keys that the giver sends by itself."""
        by = by or self.ana
        letters: list[Letter] = []
        while people := await by.at.store.read(lambda tx: tx.grants.owed()):
            for one in people:
                letters += await by.at.do(lambda tx, _: by.giver.letters(tx, one))  # noqa: B023
        return letters

    async def windows(self, guest: Guest | None = None) -> tuple[Window, ...]:
        guest = guest or self.dora
        return await guest.at.store.read(lambda tx: tx.windows.unfinished())

    async def fill(self, guest: Guest | None = None) -> Mail:
        """Fetch the rows of every open window."""
        guest = guest or self.dora
        for window in await self.windows(guest):
            rows = self.rows[window.next - 1 : window.upto]

            def step(tx: Tx, out: Mail) -> None:
                guest.given.open_early(tx, out, window)  # noqa: B023
                guest.at.rows.apply_earlier(tx, out, self.chat_id, rows)  # noqa: B023
                tx.windows.advance(window, window.upto + 1)  # noqa: B023

            await guest.at.do(step)
        return guest.at.last

    async def page(self, guest: Guest | None = None) -> Sequence[Message]:
        guest = guest or self.dora
        return (await guest.at.store.read(lambda tx: tx.messages.page(self.chat_id, limit=200))).messages

    async def shown(self, guest: Guest | None = None) -> list[str]:
        """Texts, and causes of everything else but membership."""
        hidden = {Cause.GROUP_CREATED, Cause.MEMBER_ADDED, Cause.MEMBER_REMOVED}
        found = [one for one in await self.page(guest) if one.cause not in hidden]
        return [one.text if one.cause is None else f"<{one.cause.value}>" for one in found]

    def later(self, ms: int) -> None:
        self.now += ms
        for guest in self.guests:
            guest.at.clock.advance(ms / 1000)


def member(guest: Guest, role: str = "member") -> Member:
    return Member(uid=guest.at.me.uid, idfp=guest.at.person.idfp, role=role)


def signed_in(row: Event) -> Signed:
    return msgspec.msgpack.decode(row.body, type=Signed)


def guest_of(at: Station) -> Guest:
    return Guest(at, Giver(at.me, at.memberships), GivenKeys(at.me, at.reader))


@asynccontextmanager
async def circle(people: tuple[Person, Person, Person], folder: Path, bruno: str = "member") -> AsyncIterator[Circle]:
    """Everybody's device; the group with Ana, who owns it, and Bruno."""
    async with AsyncExitStack() as stack:
        guests = [
            guest_of(
                await stack.enter_async_context(
                    station(who, who.device, [one for one in people if one is not who], folder)
                )
            )
            for who in people
        ]
        made = Circle(guests[0], guests[1], guests[2])
        named = sorted([member(made.ana, "owner"), member(made.bruno, bruno)], key=lambda one: one.uid)
        made.event(made.ana, "create", members=tuple(named), nonce=os.urandom(16))
        for guest in (made.ana, made.bruno):
            await made.open(guest)
        yield made


HOUR = DAY // 24
NOBODY = Uid(bytes(16))
