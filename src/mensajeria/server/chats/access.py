"""The one door to a chat: who is not in it learns nothing, not even whether it exists."""

from __future__ import annotations

from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.chats.cache import ChatCache, ChatInfo


def as_member(info: ChatInfo | None, account_id: int) -> ChatInfo:
    """The chat, for one of its members.

    Raises:
        ProtocolError: UNKNOWN_CHAT, the same for no such chat and for not being in it.
    """
    if info is None or account_id not in info.members:
        raise ProtocolError(Code.UNKNOWN_CHAT)
    return info


async def member_chat(cache: ChatCache, account_id: int, chat_id: bytes) -> ChatInfo:
    """As `as_member`, reading the chat if need be.

    Raises:
        ProtocolError: UNKNOWN_CHAT.
    """
    return as_member(await cache.load(chat_id), account_id)
