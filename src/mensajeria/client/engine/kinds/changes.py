"""Types "edit", "reaction" and "delete": they have no place of their own and change another message.

Who may change what is decided here, by who signed the message: an edit touches its author's messages only, a delete
those of its author or, by an admin of the group at that time, anybody's. What is not allowed has no effect.
"""

from __future__ import annotations

import logging
from typing import Final

from mensajeria.client.api import MessageKind, MessageReceived, MessageRemoved, MessageState
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.kinds.references import only_reference
from mensajeria.client.engine.kinds.telling import tell
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import ChangeKind, NewChange, Target
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.emoji import is_emoji
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import Mid, SessionId, Uid
from mensajeria.protocol.membership import Role
from mensajeria.protocol.records import MessageInner
from mensajeria.protocol.records_messages import DELETE, EDIT, REACTION, DeleteBody, EditBody, ReactionBody

_log = logging.getLogger(__name__)
_SESSION_ID: Final = 32
About = tuple[Uid, Mid]


class Edit:
    """Another text for the author's own message."""

    name: Final = EDIT

    def parse(self, inner: MessageInner, body: bytes) -> tuple[About, str]:
        """What it is about and the new text. Raises MalformedError."""
        text = decode_record(EditBody, body, max_size=limits.MAX_DECOMPRESSED).text
        if len(text.encode()) > limits.TEXT_MAX_BYTES:
            raise MalformedError("text too long")
        return only_reference(inner), text

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: tuple[About, str]) -> None:
        """Change the text, if it is the author's."""
        (uid, mid), text = body
        if uid != arrival.author:
            _log.info("an edit of somebody else's message has no effect")
            return
        change(tx, out, arrival, ChangeKind.EDIT, Target(arrival.chat_id, uid, mid), text)


class React:
    """One emoji of the author under a message, instead of the one before; or none."""

    name: Final = REACTION

    def parse(self, inner: MessageInner, body: bytes) -> tuple[About, str]:
        """What it is about and the emoji. Raises MalformedError."""
        emoji = decode_record(ReactionBody, body).emoji
        if emoji and not is_emoji(emoji):
            raise MalformedError("not an emoji")
        return only_reference(inner), emoji

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: tuple[About, str]) -> None:
        """Put it under the message, or take it away."""
        (uid, mid), emoji = body
        change(tx, out, arrival, ChangeKind.REACTION, Target(arrival.chat_id, uid, mid), emoji)


class Delete:
    """A message is deleted for everybody."""

    name: Final = DELETE

    def parse(self, inner: MessageInner, body: bytes) -> tuple[About, tuple[SessionId, int] | None]:
        """What it is about, and where that stood in its session if known. Raises MalformedError."""
        record = decode_record(DeleteBody, body)
        if len(record.session_id) not in {0, _SESSION_ID} or (not record.session_id and record.idx):
            raise MalformedError("no session id")
        at = (SessionId(record.session_id), record.idx) if record.session_id else None
        return only_reference(inner), at

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: tuple[About, tuple[SessionId, int] | None]) -> None:
        """Wipe what it said, if the author may; a tombstone of it is explained."""
        (uid, mid), at = body
        if uid != arrival.author and arrival.role not in {Role.OWNER, Role.ADMIN}:
            _log.info("a delete of somebody else's message has no effect")
            return
        target = Target(arrival.chat_id, uid, mid)
        if at is not None and not arrival.late and tx.messages.find(target.chat_id, mid, uid) is None:
            _explain_tombstone(tx, out, target, at, arrival)
        change(tx, out, arrival, ChangeKind.DELETE, target, "")


def change(tx: Tx, out: Outcome, arrival: Arrival, kind: ChangeKind, target: Target, value: str) -> None:
    """Keep a change that is allowed, and tell what looks different by it. One that came late has no effect."""
    if arrival.late:
        return
    tx.changes.put(NewChange(kind, target, arrival.author, arrival.mid, arrival.inner.ts, arrival.seq, value))
    tell(out, tx.changes.settle(target))


def _explain_tombstone(tx: Tx, out: Outcome, target: Target, at: tuple[SessionId, int], arrival: Arrival) -> None:
    """The row was erased before this device saw it: its place says that it was deleted, not that the server took it."""
    owners = {stored.key.uid for stored in tx.inbound.find(target.chat_id, at[0])}
    if owners and target.uid not in owners:
        return
    tombstone = tx.erasures.take_tombstone(target.chat_id, *at)
    if tombstone is None:
        return
    if tombstone.order is not None:
        notice = tx.messages.remove(target.chat_id, tombstone.order)
        if notice is not None:
            out.events.append(MessageRemoved(target.chat_id, notice, tombstone.order))
    tx.messages.add(
        _deleted(target, tombstone.seq, tombstone.server_ms, outgoing=target.uid == arrival.author and arrival.outgoing)
    )
    out.events.extend(map(MessageReceived, tx.changes.erase(target, arrival.author)[:1]))
    out.touched.add(target.chat_id)


def _deleted(target: Target, seq: int, at_ms: int, *, outgoing: bool) -> NewMessage:
    return NewMessage(
        chat_id=target.chat_id,
        mid=target.mid,
        sender=target.uid,
        outgoing=outgoing,
        kind=MessageKind.DELETED,
        state=MessageState.SENT if outgoing else MessageState.RECEIVED,
        sent_ms=at_ms,
        seq=seq,
        server_ms=at_ms,
    )
