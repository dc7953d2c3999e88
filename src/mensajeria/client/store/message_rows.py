"""How a message is written in a row of the table, and read from one with all that belongs to it."""

from __future__ import annotations

import json
from typing import Final

from mensajeria.client.api import NO_PARAMS, Cause, Message, MessageKind, MessageState, Quote, Reaction
from mensajeria.client.store.contacts import person
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.client.store.files import attachment_of
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid

SELECT: Final = (
    "SELECT c.chat_id, m.mid, m.ord, m.seq, m.sender, p.handle, p.trust, m.outgoing, m.kind, m.text, m.state, "
    "m.sent_ms, m.cause, m.params, m.error, m.clock_off, f.body, f.saved, m.edited_ms, m.expire_s, m.expires_ms, "
    "m.deleted_by, d.handle, d.trust, m.reply_mid, m.reply_uid, qp.handle, qp.trust, q.kind, substr(q.text, 1, 200), "
    "q.ord, CASE WHEN m.reacted THEN (SELECT json_group_array(json_array(hex(r.uid), r.emoji, rp.handle, rp.trust)) "
    "FROM reactions r LEFT JOIN contacts rp ON rp.uid = r.uid WHERE r.message = m.id) END "
    "FROM messages m JOIN chats c ON c.key = m.chat LEFT JOIN contacts p ON p.uid = m.sender "
    "LEFT JOIN contacts d ON d.uid = m.deleted_by LEFT JOIN contacts qp ON qp.uid = m.reply_uid "
    "LEFT JOIN messages q ON q.mid = m.reply_mid AND q.sender = m.reply_uid AND q.chat = m.chat "
    "LEFT JOIN attachments f ON f.message = m.id"
)
"""Columns for `message_of`."""
WORDED: Final = frozenset({MessageKind.TEXT, MessageKind.FILE})
"""Kinds whose text a person wrote: shown and searched."""


def message_at(db: Db, chat_id: ChatId, order: int) -> Message | None:
    """The message at a place of the timeline."""
    row = db.one(f"{SELECT} WHERE c.chat_id = ? AND m.ord = ?", chat_id, order)
    return None if row is None else message_of(row)


def known_message(db: Db, chat_id: ChatId, order: int) -> Message:
    """The message that stands there. Raises StoreMisuseError."""
    message = message_at(db, chat_id, order)
    if message is None:
        raise StoreMisuseError("no message at that place")
    return message


def message_of(row: Row) -> Message:
    """The message in a row of `SELECT`."""
    (
        chat_id, mid, order, seq, sender, handle, trust, outgoing, kind, text, state, sent, cause, params, error,
        clock_off, file, saved, edited, expire_s, expires, deleted_by, deleted_handle, deleted_trust, reply_mid,
        reply_uid, reply_handle, reply_trust, quoted_kind, quoted_text, quoted_order, reactions,
    ) = row  # fmt: skip
    reply = None
    if reply_mid is not None:
        quoted = None if quoted_kind is None else MessageKind(quoted_kind)
        preview = quoted_text if quoted is MessageKind.TEXT else ""
        reply = Quote(Mid(reply_mid), person(reply_uid, reply_handle, reply_trust), quoted, preview, quoted_order)
    return Message(
        chat_id=ChatId(chat_id),
        mid=Mid(mid),
        order=order,
        seq=seq,
        sender=person(sender, handle, trust),
        outgoing=bool(outgoing),
        kind=MessageKind(kind),
        text=text if kind in WORDED else "",
        state=MessageState(state),
        sent_ms=sent,
        cause=None if cause is None else Cause(cause),
        params=NO_PARAMS if params is None else json.loads(params),
        error=None if error is None else Code(error),
        clock_off=bool(clock_off),
        attachment=None if file is None or kind != MessageKind.FILE else attachment_of(file, saved),
        reply=reply,
        edited_ms=edited,
        reactions=() if reactions is None else _reactions(reactions),
        deleted_by=None if deleted_by is None else person(deleted_by, deleted_handle, deleted_trust),
        expire_s=expire_s,
        expires_ms=expires,
    )


def _reactions(packed: str) -> tuple[Reaction, ...]:
    return tuple(
        Reaction(person(bytes.fromhex(uid), handle, trust), emoji) for uid, emoji, handle, trust in json.loads(packed)
    )


def values_of(new: NewMessage) -> tuple[object, ...]:
    """Columns of a message, from `mid` on: those that do not change with its place."""
    return (
        new.mid,
        new.sender,
        new.outgoing,
        new.kind.value,
        new.text,
        new.state.value,
        None if new.cause is None else new.cause.value,
        json.dumps(dict(new.params)) if new.params else None,
        new.inner,
        *(new.reply or (None, None)),
        new.session_id,
        new.idx,
        new.expire_s,
    )
