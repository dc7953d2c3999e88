"""What somebody who is blocked writes in a shared group is kept, and not shown while the block lasts.

It is hidden in what is told, never in the store: the keys still come, and taking the block back shows everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from mensajeria.client.api import (
    NO_PARAMS,
    Cause,
    ChatView,
    Event,
    Message,
    MessageChanged,
    MessageKind,
    MessageReceived,
    Page,
)
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.blocks import is_blocked
from mensajeria.protocol.ids import Uid

RECENT: Final = 200
"""So many places at the end of each shared group are told again when a block begins or ends."""
_WRITTEN: Final = frozenset({MessageKind.TEXT, MessageKind.FILE, MessageKind.UNKNOWN})


def shown(tx: Tx, message: Message) -> Message:
    """The message as it may be shown: without what was written by somebody blocked, also where it is quoted."""
    if message.kind not in _WRITTEN:
        return message
    reactions = tuple(one for one in message.reactions if not is_blocked(tx, one.person.uid))
    hidden = not message.outgoing and is_blocked(tx, message.sender.uid)
    quoted = message.reply is not None and is_blocked(tx, message.reply.sender.uid)
    if not (hidden or quoted or len(reactions) < len(message.reactions)) or not _in_group(tx, message):
        return message
    if hidden:
        return replace(
            message, kind=MessageKind.UNREADABLE, cause=Cause.BLOCKED, params=NO_PARAMS, text="", attachment=None,
            reply=None, reactions=reactions, edited_ms=0,
        )  # fmt: skip
    if message.reply is not None and quoted:
        quote = replace(message.reply, kind=MessageKind.UNREADABLE, text="")
        return replace(message, reply=quote, reactions=reactions)
    return replace(message, reactions=reactions)


def shown_page(tx: Tx, page: Page) -> Page:
    """`shown` for a stretch of a timeline."""
    return replace(page, messages=tuple(shown(tx, message) for message in page.messages))


def shown_found(tx: Tx, found: Iterable[Message]) -> tuple[Message, ...]:
    """`shown` for what a search finds: what is hidden is not found."""
    messages = [shown(tx, message) for message in found]
    return tuple(message for message in messages if not is_hidden(message))


def shown_view(tx: Tx, view: ChatView) -> ChatView:
    """`shown` for a chat's last message."""
    return view if view.last is None or view.peer is not None else replace(view, last=shown(tx, view.last))


def shown_event(tx: Tx, event: Event) -> Event:
    """`shown` for an event that carries a message."""
    if isinstance(event, MessageReceived | MessageChanged):
        return replace(event, message=shown(tx, event.message))
    return event


def is_hidden(message: Message) -> bool:
    """Whether `shown` has taken the content away."""
    return message.cause is Cause.BLOCKED


def tell_again(tx: Tx, out: Outcome, uid: Uid) -> None:
    """A block began or ended: what stands at the end of the shared groups looks different now."""
    for chat_id in {*tx.chats.with_peer(uid), *tx.chats.with_member(uid)}:
        out.touched.add(chat_id)
        chat = tx.chats.get(chat_id)
        if chat is not None and chat.peer is None:
            recent = tx.messages.page(chat_id, limit=RECENT).messages
            out.events += [MessageChanged(message, message.order) for message in recent if _concerns(message, uid)]


def _concerns(message: Message, uid: Uid) -> bool:
    quoted = message.reply is not None and message.reply.sender.uid == uid
    return message.sender.uid == uid or quoted or any(one.person.uid == uid for one in message.reactions)


def _in_group(tx: Tx, message: Message) -> bool:
    chat = tx.chats.get(message.chat_id)
    return chat is not None and chat.peer is None
