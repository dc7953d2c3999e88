"""The outbox at work: one task per chat with something to send, driven by `core.outbox`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final, TypeVar

from mensajeria.client.api import IdentityChanged
from mensajeria.client.core import outbox as core
from mensajeria.client.core.backoff import Backoff
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.mailer import Mailer
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sealing import Plan, fail
from mensajeria.client.engine.session import Session
from mensajeria.client.errors import ClientError, NetworkError
from mensajeria.client.store import Tx
from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import SEND
from mensajeria.protocol.ids import ChatId, Mid, Uid

_log = logging.getLogger(__name__)
_KNOWN_CODES: Final = frozenset(code.value for code in Code)
LISTS_AT_ONCE: Final = 8
UNUSABLE_S: Final = 60.0
"""How long a group goes on without asking again for a member's list that was false or is not to be had."""
INTRODUCE_ROUNDS: Final = 3
LEVEL_S: Final = 5.0
T = TypeVar("T")
Level = Callable[[ChatId], Awaitable[None]]


class Sending:
    """Sends what lies in the store's outbox while there is a connection."""

    def __init__(self, context: Context, directory: Directory, mailer: Mailer) -> None:
        self._context = context
        self._directory = directory
        self._mailer = mailer
        self._session: Session | None = None
        self._group: asyncio.TaskGroup | None = None
        self._level: Level | None = None
        self._boxes: dict[ChatId, core.ChatOutbox] = {}
        self._wakes: dict[ChatId, asyncio.Event] = {}
        self._all_on_wire: set[ChatId] = set()
        """Chats of whose outbox nothing waits for room: an ack there is no reason to look again."""
        self._listed: set[ChatId] = set()
        """Chats whose members' device lists were asked for since the connection began: the server tells of changes only
        who is there, and a key goes to the newest list's devices."""
        self._unusable: dict[Uid, float] = {}
        """Until when a group goes on without the list of a user."""

    async def start(self, session: Session, group: asyncio.TaskGroup, level: Level) -> None:
        """There is a connection: what is not acked goes out again. `level` brings a chat's log up to date."""
        self._session, self._group, self._level = session, group, level
        self._boxes.clear()
        self._wakes.clear()
        self._all_on_wire.clear()
        self._listed.clear()
        self._unusable.clear()
        for chat_id in await self._context.store.read(lambda tx: tx.outbox.chats()):
            self.wake(chat_id)

    def stop(self) -> None:
        """The connection is over; its task group ends the tasks."""
        self._session = self._group = self._level = None
        self._boxes.clear()
        self._wakes.clear()

    def wake(self, chat_id: ChatId) -> None:
        """The chat may have something to send."""
        if self._group is None:
            return
        event = self._wakes.get(chat_id)
        if event is None:
            event = self._wakes[chat_id] = asyncio.Event()
            self._begin(self._run(chat_id, event))
        event.set()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Beside the connection. While that is ending nothing begins: what waits goes out over the next one."""
        assert self._group is not None
        try:
            self._group.create_task(work)
        except RuntimeError:
            work.close()

    async def enqueue(self, chat_id: ChatId, add: Callable[[Tx, Outcome], T]) -> T:
        """Queue a message by `add`; when all is ready it is sealed in the same transaction and sent at once."""
        online = self._session is not None and chat_id in self._listed and self._box(chat_id).room > 0

        def step(tx: Tx, out: Outcome) -> tuple[T, Plan | None]:
            value = add(tx, out)
            return value, self._plan(tx, out, chat_id) if online else None

        value, plan = await self._context.commit(step)
        if plan is not None:
            self._dispatch(chat_id, plan)
        if plan is None or plan.lists or plan.letters or plan.blocked or plan.exhausted:
            self._all_on_wire.discard(chat_id)
            self.wake(chat_id)
        return value

    # --- answers ---

    def acked(self, chat_id: ChatId, mid: Mid) -> None:
        """The server has stored the message, and the store knows."""
        if self._is_in_flight(chat_id, mid):
            self._perform(chat_id, self._box(chat_id).acked(mid))

    async def nacked(self, chat_id: ChatId, mid: Mid, code: str, retry_after_ms: int) -> None:
        """The server has not stored the message."""
        if not self._is_in_flight(chat_id, mid):
            return
        effects = self._box(chat_id).nacked(mid, code, retry_after_ms, self._context.chance())
        self._all_on_wire.discard(chat_id)
        for effect in effects:
            if isinstance(effect, core.Fail):
                await self._fail(chat_id, Mid(effect.mid), effect.code)
        self._perform(chat_id, effects)

    def _is_in_flight(self, chat_id: ChatId, mid: Mid) -> bool:
        """Whether an answer is due: a server may answer for messages and chats that do not exist."""
        box = self._boxes.get(chat_id)
        return box is not None and box.is_in_flight(mid)

    def _perform(self, chat_id: ChatId, effects: list[core.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, core.Continue):
                if chat_id not in self._all_on_wire:
                    self.wake(chat_id)
            elif isinstance(effect, core.Pause) and self._group is not None:
                self._begin(self._pause(chat_id, effect.seconds))
            elif isinstance(effect, core.Refresh) and self._group is not None:
                self._begin(self._refresh(chat_id, effect.seconds))

    async def _pause(self, chat_id: ChatId, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._perform(chat_id, self._box(chat_id).resumed())

    async def _refresh(self, chat_id: ChatId, seconds: float) -> None:
        """The epoch is stale: read what changed, then seal anew under the same ids."""
        assert self._level is not None
        await asyncio.sleep(seconds)
        await self._level(chat_id)

        def step(tx: Tx, _: Outcome) -> bool:
            used = self._context.sealer.throw_away(tx, chat_id)
            return used is not None and used < self._context.memberships.of(tx, chat_id).now.epoch

        moved = await self._context.commit(step)
        self._perform(chat_id, self._box(chat_id).refreshed(moved=moved))

    async def _fail(self, chat_id: ChatId, mid: Mid, code: str) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            item = tx.outbox.get(chat_id, mid)
            if item is not None:
                known = Code(code) if code in _KNOWN_CODES else Code.INTERNAL
                fail(tx, out, self._context.me, chat_id, item, known)
            chat = tx.chats.get(chat_id)
            if code == Code.FORBIDDEN and chat is not None and chat.peer is not None:
                tx.contacts.doubt(chat.peer)  # blocked, or their account is gone: the second can be found out
                out.wanted_lists.add(chat.peer)

        await self._context.commit(step)

    # --- one chat ---

    def _box(self, chat_id: ChatId) -> core.ChatOutbox:
        return self._boxes.setdefault(chat_id, core.ChatOutbox())

    async def _run(self, chat_id: ChatId, wake: asyncio.Event) -> None:
        backoff = Backoff()
        while True:
            await wake.wait()
            wake.clear()
            try:
                while await self._step(chat_id):
                    backoff.reset()
            except ClientError as error:
                if await self._gave_up(chat_id):
                    continue
                _log.info("sending waits: %s", error.code)
                await asyncio.sleep(backoff.next_delay(self._context.chance()))
                wake.set()

    async def _gave_up(self, chat_id: ChatId) -> bool:
        """The other person's account is gone: what waits for it fails, instead of waiting for ever."""

        def step(tx: Tx, out: Outcome) -> bool:
            chat = tx.chats.get(chat_id)
            if chat is None or chat.peer is None or not tx.contacts.is_gone(chat.peer):
                return False
            while waiting := tx.outbox.pending(chat_id):
                for item in waiting:
                    fail(tx, out, self._context.me, chat_id, item, Code.UNKNOWN_USER)
            return True

        return await self._context.commit(step)

    async def _step(self, chat_id: ChatId) -> bool:
        """Send what can be sent; whether something was prepared so that more can."""
        session = self._session
        if session is None or self._box(chat_id).room == 0:
            return False
        if chat_id not in self._listed:
            await self._fetch_lists(chat_id)
        plan = await self._context.commit(lambda tx, out: self._plan(tx, out, chat_id))
        self._dispatch(chat_id, plan)
        await session.drained()
        if plan.lists:
            await self._refresh_lists(chat_id, plan.lists)
            return True
        if plan.letters:
            await self._mailer.deliver(session, plan.letters)
            return True
        if plan.exhausted:
            await self._context.allow_more()
            return True
        if plan.blocked:
            await self._tell_blocked(chat_id)
        return False

    async def _fetch_lists(self, chat_id: ChatId) -> None:
        """The newest device lists of the chat's members, once per connection."""
        members = await self._context.store.read(lambda tx: self._context.memberships.members(tx, chat_id))
        await self._refresh_lists(chat_id, {self._context.me.uid, *members})
        self._listed.add(chat_id)

    async def _refresh_lists(self, chat_id: ChatId, uids: Collection[Uid]) -> None:
        """Fetch lists, a few at a time. In a group a member whose list cannot be had keeps nobody waiting."""
        chat = await self._context.store.read(lambda tx: tx.chats.get(chat_id))
        gate = asyncio.Semaphore(LISTS_AT_ONCE)

        async def refresh(uid: Uid) -> None:
            async with gate:
                try:
                    await self._directory.refresh(uid)
                except ClientError as error:
                    if isinstance(error, NetworkError) or chat is None or not chat.is_group:
                        raise
                    if uid == self._context.me.uid or error.retry:
                        raise
                    self._unusable[uid] = time.monotonic() + UNUSABLE_S

        for done in await asyncio.gather(*map(refresh, uids), return_exceptions=True):
            if done is not None:
                raise done

    def _plan(self, tx: Tx, out: Outcome, chat_id: ChatId) -> Plan:
        return self._context.sealer.plan(tx, out, chat_id, core.WINDOW, self._without_list())

    def _without_list(self) -> frozenset[Uid]:
        """Users whose list was refused a moment ago."""
        now = time.monotonic()
        return frozenset(uid for uid, until in list(self._unusable.items()) if now < until)

    async def level(self, chat_id: ChatId) -> None:
        """Bring a chat's log up to date if there is a connection; a server that does not answer is not waited for."""
        if self._level is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEVEL_S):
                    await self._level(chat_id)

    async def introduce(self, chat_id: ChatId) -> None:
        """Give the members of a group the key of the own session, before there is anything to say."""
        session = self._session
        if session is None:
            return
        for _ in range(INTRODUCE_ROUNDS):
            lists, letters = await self._context.store.run(
                lambda tx: self._context.sealer.introduce(tx, chat_id, self._without_list())
            )
            if letters:
                await self._mailer.deliver(session, letters)
            if not lists:
                return
            await self._refresh_lists(chat_id, lists)

    def _dispatch(self, chat_id: ChatId, plan: Plan) -> None:
        """Put sealed messages on the wire that are not there yet, in order, as far as there is room."""
        box = self._box(chat_id)
        self._all_on_wire.discard(chat_id)
        for item in plan.ready:
            if self._session is None or box.room == 0:
                return
            if not box.is_in_flight(item.mid) and item.sealed is not None:
                self._session.send_body(SEND, item.sealed.outer)
                box.sent(item.mid)
        if len(plan.ready) < core.WINDOW and not (plan.lists or plan.letters or plan.exhausted):
            self._all_on_wire.add(chat_id)

    async def _tell_blocked(self, chat_id: ChatId) -> None:
        chat = await self._context.store.read(lambda tx: tx.views.chat(chat_id))
        if chat is not None and chat.peer is not None:
            self._context.emitter.emit(IdentityChanged(chat_id, chat.peer, blocked=True))
