"""What the services tell connected devices (see `server.push`), as notes on the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mensajeria.protocol.errors import Code
from mensajeria.protocol.frames import TYPE_OF, Event, ListChanged, OtkLow
from mensajeria.server.broker.broker import Broker, ChatNote, EndNote, FrameNote, ItemNote, PartNote
from mensajeria.server.chats.cache import ChatCache
from mensajeria.server.realtime.items import encode_item

_encoder = msgspec.msgpack.Encoder()


class BrokerPush:
    """See `server.push.Push`."""

    def __init__(self, broker: Broker, cache: ChatCache) -> None:
        self._broker = broker
        self._cache = cache

    async def notify_list_changed(self, account_ids: Iterable[int], uid: bytes, ver: int) -> None:
        """See `Push`."""
        body = _encoder.encode(ListChanged(uid, ver))
        self._broker.publish(FrameNote(tuple(account_ids), TYPE_OF[ListChanged], body))
        self._broker.flush()

    async def end_login(self, device_ids: Iterable[int], code: Code) -> None:
        """See `Push`."""
        self._broker.publish(EndNote(tuple(device_ids), code))
        self._broker.flush()

    async def otk_low(self, device_id: int, left: int) -> None:
        """See `Push`."""
        self._broker.publish(FrameNote((), TYPE_OF[OtkLow], _encoder.encode(OtkLow(left)), device=device_id))
        self._broker.flush()

    async def chat_created(self, chat_id: bytes, account_ids: Sequence[int]) -> None:
        """See `Push`."""
        self._broker.publish(ChatNote(chat_id, tuple(account_ids)))
        self._broker.flush()

    async def chat_answered(self, chat_id: bytes, account_id: int, *, accepted: bool) -> None:
        """See `Push`. The other members learn of an acceptance (their "delivered" begins), never of a refusal."""
        self._cache.forget(chat_id)
        info = await self._cache.load(chat_id) if accepted else None
        accounts = (account_id,) if info is None else tuple(info.members)
        self._broker.publish(ChatNote(chat_id, accounts))
        self._broker.flush()

    async def chat_rows(
        self, chat_id: bytes, joined: Sequence[int], audience: Sequence[int], rows: Sequence[Event]
    ) -> None:
        """See `Push`. Who has just been removed must not be let in by what is remembered here: that goes first."""
        self._cache.forget(chat_id)
        self._broker.publish(ChatNote(chat_id, tuple(joined)))
        if rows:
            self._broker.publish(ItemNote(tuple(audience), tuple(map(encode_item, rows))))
        self._broker.flush()

    async def blocked(self, chat_id: bytes, one: int, other: int) -> None:
        """See `Push`."""
        self._cache.forget(chat_id)
        self._broker.publish(ChatNote(chat_id, ()))
        self._broker.publish(PartNote(one, other))
        self._broker.flush()
