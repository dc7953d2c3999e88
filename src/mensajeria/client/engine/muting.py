"""Chats about whose messages nobody wants to be told for a while: a setting that the account's devices share.

Nothing else changes: messages arrive, are counted and are read as ever. Whoever shows notifications asks
`ChatView.muted_until_ms`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import MUTED_FOREVER
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.client.store.mutes import MUTED, value_of
from mensajeria.protocol.ids import ChatId

if TYPE_CHECKING:
    from mensajeria.client.engine.context import Context

LONGEST_S: Final = 366 * 86_400
_KEY: Final = re.compile(r"muted:((?:[0-9a-f]{2}){1,32})")


class Muting:
    """Over the running parts of one client."""

    def __init__(self, context: Context) -> None:
        self._context = context
        context.settings.on(MUTED, self._changed_elsewhere)

    async def mute(self, chat_id: ChatId, for_s: int | None) -> None:
        """From now for so long; None: until it is taken back. Raises InputError (timer_invalid, unknown_chat)."""
        if for_s is not None and not 0 < for_s <= LONGEST_S:
            raise InputError("timer_invalid")
        now_ms = self._context.me.clock.now_ms()
        await self._set(chat_id, MUTED_FOREVER if for_s is None else now_ms + for_s * 1000)

    async def unmute(self, chat_id: ChatId) -> None:
        """Be told again; a chat that is not muted is no error. Raises InputError (unknown_chat)."""
        await self._set(chat_id, 0)

    async def _set(self, chat_id: ChatId, until_ms: int) -> None:
        def step(tx: Tx, out: Outcome) -> None:
            if tx.chats.get(chat_id) is None:
                raise InputError("unknown_chat")
            key = MUTED + chat_id.hex()
            if until_ms or tx.settings.get(key) is not None:
                self._context.settings.put(tx, out, key, value_of(until_ms))
                out.touched.add(chat_id)

        await self._context.commit(step)

    def _changed_elsewhere(self, tx: Tx, out: Outcome, key: str, _value: bytes) -> None:
        found = _KEY.fullmatch(key)
        if found is not None and tx.chats.get(ChatId(bytes.fromhex(found[1]))) is not None:
            out.touched.add(ChatId(bytes.fromhex(found[1])))
