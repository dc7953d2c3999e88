"""What stands in the timeline for a row that is no verified message, and how that place changes or goes."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, MessageChanged, MessageKind, MessageReceived, MessageRemoved, MessageState
from mensajeria.client.engine.kinds import Kinds
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.contacts import NOBODY
from mensajeria.client.store.values import ORDER_SHIFT, NewMessage, RawRow, RowOutcome
from mensajeria.crypto.message import MessageCause
from mensajeria.protocol.encoding import H, u64
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid

TAMPERED_ROWS: Final = "tampered_rows"
"""Counter of the meta table: rows that failed verification."""


def place_id(chat_id: ChatId, seq: int, what: bytes) -> Mid:
    """An id for what stands in the timeline and is no verified message."""
    return Mid(H("place", chat_id, u64(seq), what)[:16])


def somebody(tx: Tx, chat_id: ChatId) -> Uid:
    """Who is shown where nobody is proven: a direct chat has one candidate, a group names nobody."""
    chat = tx.chats.get(chat_id)
    return NOBODY if chat is None or chat.peer is None else chat.peer


def kept(row: RawRow, why: RowOutcome, session_id: SessionId | None = None) -> RawRow:
    """The row as it is stored until it can be read, or for good."""
    return RawRow(row.chat_id, row.seq, row.kind, row.server_ms, row.body, session_id or row.session_id, why)


def unreadable(tx: Tx, row: RawRow, cause: Cause | None, params: dict[str, str] | None = None) -> NewMessage:
    """A place whose content nobody vouches for: it names nobody but a direct chat's other member."""
    return NewMessage(
        chat_id=row.chat_id,
        mid=place_id(row.chat_id, row.seq, b"row"),
        sender=somebody(tx, row.chat_id),
        outgoing=False,
        kind=MessageKind.UNKNOWN if cause is None else MessageKind.UNREADABLE,
        state=MessageState.RECEIVED,
        sent_ms=row.server_ms,
        seq=row.seq,
        server_ms=row.server_ms,
        cause=cause,
        params=params or {},
    )


def show(
    tx: Tx, out: Outcome, message: NewMessage, row: RawRow, why: RowOutcome, session_id: SessionId | None = None
) -> None:
    """Keep the row, and show `message` in its place."""
    tx.rows.put(kept(row, why, session_id))
    out.events.append(MessageReceived(tx.messages.add(message)))


def show_tampered(tx: Tx, out: Outcome, me: Me, row: RawRow, cause: MessageCause) -> None:
    """A row that fails verification for good."""
    message = unreadable(tx, row, Cause.TAMPERED, {"reason": cause.value})
    show(tx, out, message, row, RowOutcome.TAMPERED)
    tx.meta.count(TAMPERED_ROWS)
    out.warn(tx, "row_tampered", me.clock.now_ms(), row.chat_id, reason=cause.value)


def show_again(tx: Tx, out: Outcome, message: NewMessage) -> None:
    """Something else stands now in the place of the message's row."""
    assert message.seq is not None
    _put(tx, out, message.seq << ORDER_SHIFT, message)


def put_instead(tx: Tx, out: Outcome, chat_id: ChatId, order: int, message: NewMessage | None) -> None:
    """In the place of what told of the loss; a change to a message has no place of its own."""
    if message is None:
        remove(tx, out, chat_id, order)
    else:
        _put(tx, out, order, message)


def _put(tx: Tx, out: Outcome, order: int, message: NewMessage) -> None:
    change = tx.messages.replace(order, message)
    out.events.append(MessageChanged(Kinds.placed(tx, out, change.message), change.previous_order))
    out.touched.add(message.chat_id)


def put_before(tx: Tx, out: Outcome, order: int, message: NewMessage | None) -> None:
    """At the place that was left free before a notice; a change to a message has none of its own."""
    shown = None if message is None else tx.messages.insert(order, message)
    if shown is not None:
        out.events.append(MessageReceived(Kinds.placed(tx, out, shown)))
        out.touched.add(shown.chat_id)


def remove(tx: Tx, out: Outcome, chat_id: ChatId, order: int) -> None:
    """Nothing stands there any more."""
    removed = tx.messages.remove(chat_id, order)
    if removed is not None:
        out.events.append(MessageRemoved(chat_id, removed, order))
        out.touched.add(chat_id)
