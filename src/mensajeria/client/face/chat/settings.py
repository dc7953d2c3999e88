"""What holds in a chat: after how long messages disappear, and whether one is told of them."""

from __future__ import annotations

from mensajeria.client.api import SentMessage
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.timers import timer_of
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.client.store import Tx
from mensajeria.protocol.membership import ChatKind


class Settings(ChatFace):
    """The timer and muting."""

    __slots__ = ()

    async def set_timer(self, seconds: int) -> SentMessage | None:
        """What is written in this chat from now on disappears so long after it was read; 0 = never.

        In a direct chat it is queued like a text. In a group it is an event that an owner or admin signs: None then.

        Raises InputError (timer_invalid, unknown_chat), SendBlockedError; in a group also as `rename`.
        """
        me = self._context.me
        if await self._context.store.read(self._is_group):
            await self._engine.groups.set_timer(self.chat_id, seconds)
            return None
        return self._sent(await self._change(lambda tx, out: own.set_timer(tx, out, me, self._membership(tx), seconds)))

    async def timer(self) -> int:
        """After how many seconds what is written now disappears; 0 = never."""

        def read(tx: Tx) -> int:
            self._stored(tx)
            return timer_of(tx, self.chat_id, self._membership(tx))

        return await self._context.store.read(read)

    async def mute(self, for_s: int | None = None) -> None:
        """Do not be told of new messages, on no own device: for so many seconds, or (None) until it is taken back.

        Raises InputError (timer_invalid, unknown_chat).
        """
        await self._engine.muting.mute(self.chat_id, for_s)

    async def unmute(self) -> None:
        """Be told again. Raises InputError (unknown_chat)."""
        await self._engine.muting.unmute(self.chat_id)

    def _is_group(self, tx: Tx) -> bool:
        self._stored(tx)
        return self._membership(tx).kind is ChatKind.GROUP
