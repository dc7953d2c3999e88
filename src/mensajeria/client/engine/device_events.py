"""After an own device was removed or the identity moved: every chat is told, so that nothing old counts any more.

A `device` event raises the floor of this person's device lists in the chat's membership (docs/protocol/e2ee.md §8):
what a device signs under an older list is refused from there on, and everybody starts new sessions. A group that knows
the former identity is given its succession first. Which chats still
need the event lies in the store, so that a crash forgets none. Any remaining device may sign it; the one that removed
the device does so at once, the others after a while and only where it is still missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.identity_moves import succession_from, tell_after_reset
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.errors import ClientError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.healing import PendingEvent
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.membership import MembershipState
from mensajeria.protocol.records import MemberEvent, Signed

_log = logging.getLogger(__name__)
MAX_TRIES: Final = 5
"""Swaps lost to other events in one go."""
ASLEEP_MS: Final = 3_600_000
"""A chat that was not accepted yet is looked at again."""
_LATER_MS: Final = (5_000, 30_000, 300_000, 3_600_000)
_NEVER: Final = frozenset({Code.UNKNOWN_CHAT, Code.FORBIDDEN, Code.NOT_FOUND})


def next_event(tx: Tx, me: Me, memberships: Memberships, chat_id: ChatId, dl_ver: int) -> Signed | None:
    """The signed event that the chat needs now, `identity` before `device`; None when it needs none (any more).

    A group that knows an identity whose succession is not at hand can only be told by who adds this person anew.
    """
    state = memberships.of(tx, chat_id).now
    row = state.members.get(me.uid)
    if row is None:
        return None
    if row.idfp not in {b"", me.contact(tx).idfp}:
        proof = succession_from(tx, me, row.idfp)
        if proof is None:
            return None
        moved = {"type": "identity", "idfp": me.contact(tx).idfp, "succession": proof}
        return _signed(tx, me, state, **moved)
    return None if row.dl_floor >= dl_ver else _signed(tx, me, state, type="device")


def _signed(tx: Tx, me: Me, state: MembershipState, **fields: object) -> Signed:
    event = MemberEvent(
        chat_id=state.chat_id,
        seq=state.seq + 1,
        prev=state.hash,
        by_uid=me.uid,
        by_did=me.did,
        dl_ver=me.contact(tx).list_ver,
        ts=me.clock.now_ms(),
        who=me.uid,
        **fields,  # type: ignore[arg-type]  # what each type carries is checked by the rule itself
    )
    return me.device(tx).member_event(event)


class DeviceEvents:
    """Signs what is due, over one connection. `level` brings a chat's log up to date, `wake` lets it send again."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        level: Callable[[ChatId], Awaitable[None]],
        wake: Callable[[ChatId], None],
    ) -> None:
        self._context = context
        self._directory = directory
        self._level = level
        self._wake = wake

    async def run(self) -> None:
        """Until the connection ends. Begins by looking whether a device was removed while this one was away."""
        try:
            await self._directory.refresh(self._context.me.uid)
        except ClientError as error:
            _log.info("the own list waits: %s", error.code)
        await self._context.store.run(lambda tx: tell_after_reset(tx, self._context.me))
        wait = await self.run_due()
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._context.events_due.wait()
            except TimeoutError:
                pass
            self._context.events_due.clear()
            wait = await self.run_due()

    async def run_due(self) -> float | None:
        """Work off what is due; seconds until the next one, None when nothing is left."""
        now = self._context.me.clock.now_ms()
        for pending in await self._context.store.read(lambda tx: tx.pending_events.due(now)):
            await self._one(pending)
        following = await self._context.store.read(lambda tx: tx.pending_events.next_due_ms())
        return None if following is None else max(0.1, (following - self._context.me.clock.now_ms()) / 1000)

    async def _one(self, pending: PendingEvent) -> None:
        chat = await self._context.store.read(lambda tx: tx.chats.get(pending.chat_id))
        if chat is not None and not chat.accepted:
            await self._put_off(replace(pending, tries=0), ASLEEP_MS)
            return
        try:
            done = await self._append(pending)
        except RefusedError as error:
            _log.warning("a chat is not told of the removed device: %s", error.code)
            done = error.code in _NEVER
        except ClientError as error:
            _log.info("device events wait: %s", error.code)
            done = False
        if done:
            await self._context.store.run(lambda tx: tx.pending_events.remove(pending.chat_id, pending.dl_ver))
            self._wake(pending.chat_id)
        else:
            await self._put_off(pending, _LATER_MS[min(pending.tries, len(_LATER_MS) - 1)])

    async def _append(self, pending: PendingEvent) -> bool:
        """Whether the chat knows now. Who loses the swap fetches the other event and signs anew."""
        await self._level(pending.chat_id)
        for _ in range(MAX_TRIES):
            event = await self._context.store.read(lambda tx: self._next(tx, pending))
            if event is None:
                return True
            try:
                await self._context.rest.chats.append_event(pending.chat_id, event)
            except RefusedError as error:
                if error.code != Code.EVENT_CONFLICT:
                    raise
            await self._level(pending.chat_id)
        return await self._context.store.read(lambda tx: self._next(tx, pending)) is None

    def _next(self, tx: Tx, pending: PendingEvent) -> Signed | None:
        return next_event(tx, self._context.me, self._context.memberships, pending.chat_id, pending.dl_ver)

    async def _put_off(self, pending: PendingEvent, by_ms: int) -> None:
        later = replace(pending, tries=pending.tries + 1, next_ms=self._context.me.clock.now_ms() + by_ms)
        await self._context.store.run(lambda tx: tx.pending_events.put(later))
