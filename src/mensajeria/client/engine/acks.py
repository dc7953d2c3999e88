"""An own message has its row: from the outbox into the log's order, and its ticks."""

from __future__ import annotations

from collections.abc import Iterable

from mensajeria.client.api import MessageState, MessageStateChanged
from mensajeria.client.engine.kinds.own import WITHOUT_PLACE, confirm
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.resends import SentRow
from mensajeria.client.store.values import Change
from mensajeria.protocol.ids import ChatId, Mid, SessionId, Uid
from mensajeria.protocol.records_files import FILE


def acked_name(session_id: SessionId) -> str:
    """Counter of the meta table: one more than the highest index that the server acked in an own session."""
    return f"acked:{session_id.hex()}"


def first_row_name(session_id: SessionId) -> str:
    """Counter of the meta table: the row of the first message in an own session whose key nobody has fetched yet."""
    return f"first_row:{session_id.hex()}"


def seen_by_other(tx: Tx, chat_id: ChatId, seq: int) -> None:
    """Somebody else has the log up to `seq`. Mailboxes are drained before logs: the key of an own row there, too.

    Only then do a session's age and count end it (docs/protocol/e2ee.md §9).
    """
    session_id = tx.outbound.unfetched(chat_id)
    if session_id is None:
        return
    first = tx.meta.number(first_row_name(session_id))
    if 0 < first <= seq:
        tx.outbound.set_fetched(session_id)
        tx.meta.remove(first_row_name(session_id))


def _note_first_row(tx: Tx, chat_id: ChatId, session_id: SessionId, seq: int) -> None:
    if tx.outbound.unfetched(chat_id) == session_id and not tx.meta.number(first_row_name(session_id)):
        tx.meta.raise_to(first_row_name(session_id), seq)


def acknowledge(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, mid: Mid, seq: int, server_ms: int) -> None:
    """The server has stored the message as row `seq`. Without effect when that was known."""
    item = tx.outbox.get(chat_id, mid)
    if item is None:
        return
    if item.sealed is not None:
        tx.meta.raise_to(acked_name(item.sealed.session_id), item.sealed.idx + 1)
        _note_first_row(tx, chat_id, item.sealed.session_id, seq)
        if not item.expire_s:
            kept = SentRow(mid, item.type not in WITHOUT_PLACE, item.sealed.outer)
            tx.sent_rows.keep(chat_id, item.sealed.session_id, item.sealed.idx, kept, server_ms)
    tx.outbound.voids_declared(chat_id, mid)
    tx.outbox.remove(chat_id, mid)
    if item.type in WITHOUT_PLACE:
        confirm(tx, out, me, item, seq, server_ms)
        return
    if item.type == FILE:
        out.uploads = tx.uploads.remove(chat_id, mid) or out.uploads
    at = None if item.sealed is None else (item.sealed.session_id, item.sealed.idx)
    change = tx.own_messages.ack(chat_id, mid, me.uid, seq=seq, server_ms=server_ms, at=at)
    if change is not None:
        out.events.append(MessageStateChanged(change.message, change.previous_order))
        out.touched.add(chat_id)
    _advance_to_known(tx, out, me, chat_id, seq)


def _advance_to_known(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, seq: int) -> None:
    """The other side's cursors may have come before the ack."""
    chat = tx.chats.get(chat_id)
    assert chat is not None
    if chat.is_group:
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.READ, tx.groups.read_by_all(chat_id, me.uid)))
    elif chat.peer_read >= seq:
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.READ, chat.peer_read))
    elif chat.peer_delivered >= seq:
        seen_by_other(tx, chat_id, chat.peer_delivered)
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.DELIVERED, chat.peer_delivered))


def delivered(tx: Tx, out: Outcome, chat_id: ChatId, seq: int) -> None:
    """A device of the other member has stored the log up to `seq`."""
    if tx.chats.get(chat_id) is not None and tx.chats.set_peer_delivered(chat_id, seq):
        seen_by_other(tx, chat_id, seq)
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.DELIVERED, seq))


def read_by_peer(tx: Tx, out: Outcome, chat_id: ChatId, seq: int) -> None:
    """The other member says that everything up to `seq` was read."""
    if tx.chats.set_peer_read(chat_id, seq):
        seen_by_other(tx, chat_id, seq)
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.READ, seq))


def read_by_member(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, uid: Uid, seq: int) -> None:
    """A member of a group says to have read up to a row: own messages that everybody has read are read."""
    if tx.groups.set_read(chat_id, uid, seq):
        seen_by_other(tx, chat_id, seq)
        tell(out, tx.own_messages.advance_own(chat_id, MessageState.READ, tx.groups.read_by_all(chat_id, me.uid)))


def tell(out: Outcome, changes: Iterable[Change]) -> None:
    """One event for each message that moved along."""
    for change in changes:
        out.events.append(MessageStateChanged(change.message, change.previous_order))
        out.touched.add(change.message.chat_id)
