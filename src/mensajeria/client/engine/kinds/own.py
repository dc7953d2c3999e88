"""Own edits, reactions, deletes and timers: shown at once, queued like texts, confirmed by the ack or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mensajeria.client.api import (
    Cause,
    ChangeFailed,
    ChangeSent,
    Message,
    MessageDiscarded,
    MessageKind,
    MessageReceived,
    MessageRemoved,
    MessageState,
)
from mensajeria.client.engine.kinds.history import added_by, told
from mensajeria.client.engine.kinds.telling import tell
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.errors import InputError
from mensajeria.client.store import Tx
from mensajeria.client.store.changes import ChangeKind, NewChange, Target
from mensajeria.client.store.files import file_body
from mensajeria.client.store.values import NewMessage, OutboxItem
from mensajeria.kit.ids import random16
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.emoji import is_emoji
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid
from mensajeria.protocol.membership import MembershipState, Role
from mensajeria.protocol.records import MemberEvent
from mensajeria.protocol.records_history import HISTORY, HistoryBody
from mensajeria.protocol.records_messages import (
    DELETE,
    EDIT,
    REACTION,
    TIMER,
    DeleteBody,
    EditBody,
    ReactionBody,
    TimerBody,
)

WITHOUT_PLACE: Final = frozenset({EDIT, REACTION, DELETE, TIMER, HISTORY})
"""Types that stand in the outbox without a message in the timeline."""
_WRITTEN: Final = frozenset({MessageKind.TEXT, MessageKind.UNKNOWN, MessageKind.DELETED})


# --- asked by the person ---


def edit(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, mid: Mid, text: str) -> Mid:
    """Queue another text for an own message; the change's id. Raises InputError (unknown_message, not_editable)."""
    message = tx.messages.find(chat_id, mid, me.uid)
    if message is None:
        raise InputError("unknown_message" if tx.messages.find(chat_id, mid) is None else "not_editable")
    if message.kind is not MessageKind.TEXT or message.state is MessageState.FAILED:
        raise InputError("not_editable")
    target = Target(chat_id, me.uid, mid)
    return _queue(tx, out, me, ChangeKind.EDIT, target, text, encode(EditBody(text=text)))


def react(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, mid: Mid, emoji: str | None) -> Mid:
    """Queue the own emoji for a message, None takes it back. Raises InputError (unknown_message, not_an_emoji)."""
    message = _written(tx, chat_id, mid)
    if message.deleted or message.seq is None:
        raise InputError("unknown_message")
    if emoji is not None and not is_emoji(emoji):
        raise InputError("not_an_emoji")
    target = Target(chat_id, message.sender.uid, mid)
    body = encode(ReactionBody(emoji=emoji or ""))
    return _queue(tx, out, me, ChangeKind.REACTION, target, emoji or "", body)


def delete_for_all(tx: Tx, out: Outcome, me: Me, state: MembershipState, mid: Mid) -> Mid | None:
    """Queue a delete; its id, None when the message had never left and is simply gone.

    Raises InputError (unknown_message, not_deletable).
    """
    chat_id = ChatId(state.chat_id)
    message = _written(tx, chat_id, mid)
    own = message.sender.uid == me.uid
    if not own and state.role(me.uid) not in {Role.OWNER, Role.ADMIN}:
        raise InputError("not_deletable")
    if own and _discard_unsent(tx, out, me, chat_id, mid):
        return None
    target = Target(chat_id, message.sender.uid, mid)
    at = _place_in_session(tx, target)
    body = DeleteBody() if at is None else DeleteBody(session_id=at[0], idx=at[1])
    file = tx.attachments.body(chat_id, mid, me.uid) if own else None
    change = _queue(tx, out, me, ChangeKind.DELETE, target, "", encode(body))
    if file is not None:
        tx.uploads.want_gone(change, file_body(file).blob)
    tx.erasures.want(chat_id, mid, own=own, carrier=change)
    return change


def delete_here(tx: Tx, out: Outcome, chat_id: ChatId, mid: Mid) -> None:
    """Remove a message from this device only. Raises InputError (unknown_message, not_deletable while it is queued)."""
    message = tx.messages.find(chat_id, mid)
    if message is None:
        raise InputError("unknown_message")
    if message.outgoing and message.seq is None:
        raise InputError("not_deletable")
    target = Target(chat_id, message.sender.uid, mid)
    tx.messages.remove(chat_id, message.order)
    out.events.append(MessageRemoved(chat_id, mid, message.order))
    out.touched.add(chat_id)
    tell(out, tx.changes.quoting(target))


def set_timer(tx: Tx, out: Outcome, me: Me, state: MembershipState, seconds: int) -> Mid:
    """Queue a timer for a direct chat; the change's id. Raises InputError (timer_invalid)."""
    if not 0 <= seconds <= limits.MAX_TIMER_S:
        raise InputError("timer_invalid")
    chat_id, mid = ChatId(state.chat_id), Mid(random16())
    tx.outbox.add(chat_id, mid, TIMER, encode(TimerBody(seconds=seconds)), me.clock.now_ms())
    tx.timers.queue(chat_id, seconds, mid)
    out.touched.add(chat_id)
    return mid


def _queue(tx: Tx, out: Outcome, me: Me, kind: ChangeKind, target: Target, value: str, body: bytes) -> Mid:
    mid, now = Mid(random16()), me.clock.now_ms()
    tx.outbox.add(target.chat_id, mid, kind.value, body, now, refs=((target.uid, target.mid),))
    tx.changes.put(NewChange(kind, target, me.uid, mid, now, None, value))
    tell(out, tx.changes.settle(target))
    return mid


def _written(tx: Tx, chat_id: ChatId, mid: Mid) -> Message:
    message = tx.messages.find(chat_id, mid)
    if message is None or message.kind in {MessageKind.NOTICE, MessageKind.UNREADABLE}:
        raise InputError("unknown_message")
    return message


def _discard_unsent(tx: Tx, out: Outcome, me: Me, chat_id: ChatId, mid: Mid) -> bool:
    """A message of which no ciphertext can have left needs no delete message."""
    item, upload = tx.outbox.get(chat_id, mid), tx.uploads.get(chat_id, mid)
    if item.sealed is not None if item is not None else upload is None:
        return False
    tx.outbox.remove(chat_id, mid)
    out.uploads = tx.uploads.remove(chat_id, mid) or out.uploads
    order = tx.own_messages.discard(chat_id, mid, me.uid)
    if order is not None:
        out.events.append(MessageDiscarded(chat_id, mid, order))
    out.touched.add(chat_id)
    return True


def _place_in_session(tx: Tx, target: Target) -> tuple[bytes, int] | None:
    item = tx.outbox.get(target.chat_id, target.mid)
    if item is not None and item.sealed is not None:
        return item.sealed.session_id, item.sealed.idx
    return tx.messages.stands_at(target.chat_id, target.mid, target.uid)


# --- what became of it ---


def confirm(tx: Tx, out: Outcome, me: Me, item: OutboxItem, seq: int, server_ms: int) -> None:
    """The server has stored an own change as row `seq`."""
    if item.type == TIMER:
        _confirm_timer(tx, out, me, item, seq, server_ms)
    elif item.type == HISTORY:
        _confirm_history(tx, out, me, item, seq, server_ms)
    else:
        target = tx.changes.sent(item.chat_id, item.mid, me.uid, seq)
        if target is not None:
            tell(out, tx.changes.settle(target))
        out.erase = tx.erasures.sent(item.chat_id, item.mid) or out.erase
        out.uploads = tx.uploads.delete_sent(item.mid) or out.uploads
    out.events.append(ChangeSent(item.chat_id, item.mid))


def _confirm_timer(tx: Tx, out: Outcome, me: Me, item: OutboxItem, seq: int, server_ms: int) -> None:
    seconds = decode_record(TimerBody, item.body).seconds
    tx.timers.set(item.chat_id, seconds, seq)
    tx.timers.unqueue(item.chat_id, item.mid)
    _say(tx, out, me, item, (seq, server_ms), Cause.TIMER_CHANGED, {"seconds": str(seconds)})


def _confirm_history(tx: Tx, out: Outcome, me: Me, item: OutboxItem, seq: int, server_ms: int) -> None:
    """Everybody can see it now: the keys may go."""
    body = decode_record(HistoryBody, item.body)
    row = added_by(tx, item.chat_id, body.add)
    assert row is not None, "it was queued because of that event"
    tx.grants.told(item.mid)
    out.giving = True
    params = told(tx, decode_record(MemberEvent, row.body), body.choice)
    _say(tx, out, me, item, (seq, server_ms), Cause.HISTORY_SHARED, params)


def _say(
    tx: Tx, out: Outcome, me: Me, item: OutboxItem, at: tuple[int, int], cause: Cause, params: Mapping[str, str]
) -> None:
    """An own message that stands in the timeline as a notice; `at` is its row and the row's time."""
    seq, server_ms = at
    notice = NewMessage(
        chat_id=item.chat_id,
        mid=item.mid,
        sender=me.uid,
        outgoing=True,
        kind=MessageKind.NOTICE,
        state=MessageState.SENT,
        sent_ms=item.created_ms,
        seq=seq,
        server_ms=server_ms,
        cause=cause,
        params=params,
    )
    out.events.append(MessageReceived(tx.messages.add(notice)))
    out.touched.add(item.chat_id)


def take_back(tx: Tx, out: Outcome, me: Me, item: OutboxItem, code: Code) -> None:
    """An own change is refused for good: everything looks as it did before."""
    undo(tx, out, me, item)
    out.events.append(ChangeFailed(item.chat_id, item.mid, code.value))


def undo(tx: Tx, out: Outcome, me: Me, item: OutboxItem) -> None:
    """A queued change goes, and what it has done here."""
    tx.outbox.remove(item.chat_id, item.mid)
    if item.type == TIMER:
        tx.timers.unqueue(item.chat_id, item.mid)
    elif item.type == HISTORY:
        tx.grants.take_back(item.mid)
    else:
        tx.erasures.unwant(item.chat_id, item.mid)
        tx.uploads.keep(item.mid)
        target = tx.changes.drop(item.chat_id, item.mid, me.uid)
        if target is not None:
            tell(out, tx.changes.settle(target))
    out.touched.add(item.chat_id)
