"""Two desks that write to each other over one log, for tests of what messages do."""

from __future__ import annotations

from dataclasses import dataclass, field

from mensajeria.client.api import Message, MessageKind, MessageState
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.timers import begin_timers, timer_of
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import TEXT, text_body
from mensajeria.kit.ids import random16
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import MembershipState
from tests.client.engine.test_rows_and_sealing import bodies, give_key, share_all
from tests.client.engine.world import NOW, Desk, chat_of, event


@dataclass
class Talk:
    """The chat of two desks; `log` is what the server has."""

    ana: Desk
    bruno: Desk
    log: list[bytes] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)
    keys: list[tuple[Desk, bytes]] = field(default_factory=list)

    @property
    def chat_id(self) -> ChatId:
        return chat_of(self.ana.who, self.bruno.who)

    def other(self, desk: Desk) -> Desk:
        return self.bruno if desk is self.ana else self.ana

    # --- queueing ---

    async def text(self, desk: Desk, text: str, *, reply: tuple[Uid, Mid] | None = None) -> Mid:
        """Queue a text as `Chat.send_text` does."""
        mid = Mid(random16())

        def step(tx: Tx, out: Outcome) -> None:
            timer_s = timer_of(tx, self.chat_id, self.state(desk, tx))
            tx.messages.add(
                NewMessage(
                    self.chat_id, mid, desk.me.uid, outgoing=True, kind=MessageKind.TEXT, state=MessageState.QUEUED,
                    sent_ms=desk.clock.now_ms(), text=text, reply=reply, expire_s=timer_s,
                )
            )  # fmt: skip
            refs = () if reply is None else (reply,)
            tx.outbox.add(self.chat_id, mid, TEXT, text_body(text), NOW, refs=refs, expire_s=timer_s)

        await desk.do(step)
        return mid

    async def edit(self, desk: Desk, mid: Mid, text: str) -> Mid:
        return await desk.do(lambda tx, out: own.edit(tx, out, desk.me, self.chat_id, mid, text))

    async def react(self, desk: Desk, mid: Mid, emoji: str | None) -> Mid:
        return await desk.do(lambda tx, out: own.react(tx, out, desk.me, self.chat_id, mid, emoji))

    async def delete(self, desk: Desk, mid: Mid) -> Mid | None:
        return await desk.do(lambda tx, out: own.delete_for_all(tx, out, desk.me, self.state(desk, tx), mid))

    async def timer(self, desk: Desk, seconds: int) -> Mid:
        return await desk.do(lambda tx, out: own.set_timer(tx, out, desk.me, self.state(desk, tx), seconds))

    async def any(
        self, desk: Desk, kind: str, body: bytes, *refs: tuple[Uid, Mid], expire_s: int = 0, mid: Mid | None = None
    ) -> Mid:
        """Queue whatever a dishonest client may write."""
        made = Mid(random16()) if mid is None else mid

        def step(tx: Tx, _: Outcome) -> None:
            if kind not in own.WITHOUT_PLACE:
                tx.messages.add(
                    NewMessage(
                        self.chat_id, made, desk.me.uid, outgoing=True, kind=MessageKind.TEXT,
                        state=MessageState.QUEUED, sent_ms=NOW, expire_s=expire_s,
                    )
                )  # fmt: skip
            tx.outbox.add(self.chat_id, made, kind, body, NOW, refs=refs, expire_s=expire_s)

        await desk.do(step)
        return made

    def state(self, desk: Desk, tx: Tx) -> MembershipState:
        return desk.rows._memberships.of(tx, self.chat_id).now

    # --- the way to the other side ---

    async def post(self, desk: Desk) -> list[bytes]:
        """Seal what is queued, store it in the log and ack it; the rows."""

        def step(tx: Tx, out: Outcome) -> tuple[list[bytes], list[bytes]]:
            plan, keys = desk.sealer.plan(tx, out, self.chat_id, 1000), []
            if plan.letters:
                keys = [letter.content for letter in plan.letters]
                share_all(tx, plan)
                plan = desk.sealer.plan(tx, out, self.chat_id, 1000)
            first = len(self.log) + 1
            for seq, item in enumerate(plan.ready, first):
                acknowledge(tx, out, desk.me, self.chat_id, item.mid, seq, NOW)
            return bodies(plan.ready), keys

        rows, keys = await desk.do(step)
        self.log += rows
        self.keys += [(desk, key) for key in keys]
        return rows

    async def give_keys(self) -> None:
        for author, key in self.keys:
            await give_key(self.other(author), author, key)
        self.keys.clear()

    async def fetch(self, desk: Desk) -> None:
        """Read the log to its end; rows of one's own are known."""
        start = self.cursors.get(desk.me.handle, 0)
        events = [event(self.chat_id, seq, row) for seq, row in enumerate(self.log[start:], start + 1)]
        self.cursors[desk.me.handle] = len(self.log)
        await desk.do(lambda tx, out: desk.rows.apply(tx, out, self.chat_id, events, len(self.log)))

    async def pass_on(self, desk: Desk) -> None:
        """What `desk` has queued reaches the other one."""
        await self.post(desk)
        await self.give_keys()
        await self.fetch(self.other(desk))

    # --- looking ---

    async def page(self, desk: Desk) -> list[Message]:
        found = await desk.store.read(lambda tx: tx.messages.page(self.chat_id, limit=1000))
        return list(found.messages)

    async def shown(self, desk: Desk) -> list[str]:
        return [
            one.text if one.kind is MessageKind.TEXT else f"<{one.cause or one.kind}>" for one in await self.page(desk)
        ]

    async def one(self, desk: Desk, mid: Mid) -> Message:
        message = await desk.store.read(lambda tx: tx.messages.find(self.chat_id, mid))
        assert message is not None
        return message

    async def reactions(self, desk: Desk, mid: Mid) -> dict[str, str]:
        return {one.person.handle: one.emoji for one in (await self.one(desk, mid)).reactions}

    async def found(self, desk: Desk, words: str) -> list[str]:
        return [one.text for one in await desk.store.run(lambda tx: tx.views.search(words))]

    async def unread(self, desk: Desk) -> int:
        view = await desk.store.read(lambda tx: tx.views.chat(self.chat_id))
        assert view is not None
        return view.unread

    async def read_all(self, desk: Desk) -> None:
        """The person has seen everything."""

        def step(tx: Tx, out: Outcome) -> None:
            tx.chats.mark_read(self.chat_id, len(self.log))
            begin_timers(tx, out, desk.clock.now_ms())

        await desk.do(step)
