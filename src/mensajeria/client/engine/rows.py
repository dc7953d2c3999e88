"""Rows of a chat's log: each is decided once, in the transaction that moves the cursor past it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mensajeria.client.api import Cause, MessageChanged, MessageReceived, MessageRemoved
from mensajeria.client.engine import log_gaps
from mensajeria.client.engine import row_display as display
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.kinds import Kinds, known_kinds
from mensajeria.client.engine.kinds.again import read_again
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.member_rows import MemberRows
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.missing_rows import (
    MissingRows,
    came_after_all,
    missing_notice,
    one_less_missing,
    teller,
)
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.row_opening import RowOpener
from mensajeria.client.engine.skipped_rows import SkippedRows
from mensajeria.client.engine.waiting_rows import WaitingRows, stop_asking_if_done
from mensajeria.client.store import Tx
from mensajeria.client.store.values import ORDER_SHIFT, NewMessage, RawRow, RowOutcome
from mensajeria.crypto.message import MessageCause, OpenedMessage, decode_outer
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import MalformedError, NewerVersionError
from mensajeria.protocol.frames import Event, EventKind, Tombstone
from mensajeria.protocol.ids import ChatId, Mid, SessionId
from mensajeria.protocol.records import MessageOuter

_WAITS: Final = {MessageCause.UNKNOWN_INDEX: RowOutcome.WAITING, MessageCause.UNKNOWN_HEAD: RowOutcome.HELD}
RESTORE_EPOCH: Final = "restore_epoch"
"""Counter of the meta table: how often the server was declared restored, from 1."""
_LOST_PLACES: Final = frozenset({Cause.TAMPERED, Cause.REMOVED_BY_SERVER})
"""Places that tell of a row which its author's device may bring back."""


class RowReader:
    """Decides rows. Its methods run in the store's thread, inside a transaction."""

    def __init__(self, me: Me, memberships: Memberships) -> None:
        self._me = me
        self._memberships = memberships
        self.kinds = known_kinds()
        self._skipped = SkippedRows()
        self._missing = MissingRows(me, memberships)
        self._waiting = WaitingRows(me, memberships, self._skipped)
        self._opener = RowOpener(me, memberships, self.kinds, self._missing, self._skipped)
        self.members = MemberRows(me, memberships, self._skipped)
        self._restored = False
        """The server was restored some day: messages may wait for a new row."""

    def apply(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Event], upto: int) -> None:
        """Decide the rows `events` (ascending) and move the cursor to `upto`; rows below the cursor are skipped."""
        chat = tx.chats.get(chat_id)
        assert chat is not None, "a chat is stored before its rows are asked for"
        self._begin(tx)
        for event in events:
            if event.seq > chat.cursor:
                self._decide(tx, out, chat_id, event)
        self._finish(tx)
        tx.chats.advance_cursor(chat_id, max(upto, chat.cursor))
        out.touched.add(chat_id)

    def apply_passed(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Event]) -> None:
        """Decide rows that the log did not have when the cursor went past them. Others are ignored."""
        self._begin(tx)
        for event in events:
            if log_gaps.is_missing(tx, chat_id, event.seq):
                index = _index_of(event)
                if index is None or tx.replays.ciphertext_hash(*index) is None:
                    self._decide(tx, out, chat_id, event)
                    told = index is not None and came_after_all(tx, out, chat_id, *index)
                else:
                    told = True  # its author's device has brought it back
                log_gaps.came(tx, out, chat_id, event.seq, told_elsewhere=told)
        self._finish(tx)
        out.touched.add(chat_id)

    def apply_earlier(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Event]) -> None:
        """Decide rows from before one joined that a member has given. The cursor stays where it is."""
        self._begin(tx)
        for event in events:
            if self._skipped.have(tx, chat_id, event.seq) and self._is_free(tx, out, event):
                self._decide(tx, out, chat_id, event)
        self._finish(tx)
        out.touched.add(chat_id)

    @staticmethod
    def _is_free(tx: Tx, out: Outcome, event: Event) -> bool:
        """Whether nothing stands in the row's place, or only that it was from before one joined, which goes."""
        chat_id, order = ChatId(event.chat_id), event.seq << ORDER_SHIFT
        found = tx.messages.page(chat_id, after=order - 1, limit=1).messages
        if not found or found[0].order != order:
            return True
        if found[0].cause is not Cause.BEFORE_JOINED:
            return False
        tx.messages.remove(chat_id, order)
        out.events.append(MessageRemoved(chat_id, found[0].mid, order))
        return True

    def reopen(self, tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId) -> int:
        """A key has come: open what waited for it, or had been given up for lack of it. How many rows it opened."""
        self._begin(tx)
        opened, after = 0, 0
        while rows := tx.rows.closed_for(chat_id, session_id, after):
            opened += sum(self._reopen_row(tx, out, row) for row in rows)
            after = rows[-1].seq
        self._finish(tx)
        stop_asking_if_done(tx, chat_id, session_id)
        return opened

    def resent(self, tx: Tx, out: Outcome, row: RawRow, order: int) -> bool:
        """An altered or lost row comes from its author's device: shown where its loss was told, if it verifies."""
        standing = tx.messages.at(row.chat_id, order)
        notice = None if standing is not None else missing_notice(tx, row.chat_id, row.seq)
        if notice is None and (standing is None or standing.cause not in _LOST_PLACES):
            return False
        self._begin(tx)
        result = self._opener.open(tx, row, decode_outer(row.body))
        if not isinstance(result, OpenedMessage):
            return False
        message = self._opener.accept(tx, out, row, result)
        self._finish(tx)
        if standing is None:
            display.put_before(tx, out, order, message)
        else:
            display.put_instead(tx, out, row.chat_id, order, message)
            if standing.cause is Cause.TAMPERED:
                tx.rows.remove(row.chat_id, row.seq)
                notice = teller(tx, row.chat_id, SessionId(result.inner.session_id), result.index)
        if notice is not None:
            one_less_missing(tx, out, notice)
        return True

    def reopen_held(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        """A membership event or a device list has come: look again at what had needed it."""
        self._begin(tx)
        self._look_again(tx, out, chat_id)
        self._finish(tx)

    def _look_again(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        for row in tx.rows.with_outcome(chat_id, RowOutcome.HELD):
            if row.kind == EventKind.MEMBER:
                if self.members.judge(tx, out, row) is not None:
                    tx.rows.remove(chat_id, row.seq)
            else:
                self._reopen_row(tx, out, row)

    def _begin(self, tx: Tx) -> None:
        self._restored = tx.meta.number(RESTORE_EPOCH) > 1
        self._skipped.begin()
        self._missing.begin()
        self._opener.begin(tx)

    def _finish(self, tx: Tx) -> None:
        self._opener.finish(tx)
        self._missing.finish(tx)

    # --- one row ---

    def _decide(self, tx: Tx, out: Outcome, chat_id: ChatId, event: Event) -> None:
        row = RawRow(chat_id, event.seq, int(event.kind), event.ts, bytes(event.body))
        if event.kind == EventKind.MESSAGE:
            self._message(tx, out, row)
        elif event.kind == EventKind.MEMBER:
            if self.members.decide(tx, out, row):
                self._look_again(tx, out, chat_id)
        else:
            self._tombstone(tx, out, row)

    def _message(self, tx: Tx, out: Outcome, row: RawRow) -> None:
        try:
            outer = decode_outer(row.body)
        except NewerVersionError:
            display.show(tx, out, display.unreadable(tx, row, None), row, RowOutcome.HELD)
            return
        except MalformedError:
            display.show_tampered(tx, out, self._me, row, MessageCause.MALFORMED)
            return
        if outer.chat_id != row.chat_id:
            display.show_tampered(tx, out, self._me, row, MessageCause.WRONG_CHAT)
        elif not self._is_own_unacked(tx, out, row, outer):
            self._open(tx, out, row, outer)

    def _tombstone(self, tx: Tx, out: Outcome, row: RawRow) -> None:
        try:
            tombstone = decode_array(Tombstone, row.body, max_size=limits.MAX_FRAME)
        except MalformedError:
            display.show_tampered(tx, out, self._me, row, MessageCause.MALFORMED)
            return
        self._missing.erased(tx, out, row, tombstone)

    def _is_own_unacked(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> bool:
        """A message of this device whose ack was lost: the row is the ack, if it holds what was sent."""
        if self._opener.is_somebody_elses(tx, row.chat_id, SessionId(outer.session_id)):
            return False  # nothing more to look up for most rows
        item = tx.outbox.get(row.chat_id, Mid(outer.mid))
        if item is None or item.sealed is None or item.sealed.outer != row.body:
            return False  # sealed earlier, or by the profile that this one was copied from: its key will tell
        acknowledge(tx, out, self._me, row.chat_id, item.mid, row.seq, row.server_ms)
        return True

    def _open(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> None:
        result = self._opener.open(tx, row, outer)
        if isinstance(result, OpenedMessage):
            message = self._opener.accept(tx, out, row, result)
            if message is not None and not self._came_again(tx, out, message):
                out.events.append(MessageReceived(Kinds.placed(tx, out, tx.messages.add(message))))
        elif result is None or result.cause in _WAITS:
            cause = MessageCause.UNKNOWN_INDEX if result is None else result.cause
            self._waiting.add(tx, out, row, outer, _WAITS[cause])
            if cause is MessageCause.UNKNOWN_HEAD:
                out.wanted_chains.add(row.chat_id)
        elif result.cause is MessageCause.NEWER_VERSION:
            display.show(tx, out, display.unreadable(tx, row, None), row, RowOutcome.HELD)
        elif not (result.cause is MessageCause.DUPLICATE and self._is_known_own(tx, row, outer)):
            display.show_tampered(tx, out, self._me, row, result.cause)
            self._missing.altered(tx, out, row, outer)

    def _is_known_own(self, tx: Tx, row: RawRow, outer: MessageOuter) -> bool:
        """The row of an own message that was acked before; anywhere else the same ciphertext is a replay."""
        message = tx.messages.find(row.chat_id, Mid(outer.mid), self._me.uid)
        return message is not None and message.seq == row.seq

    def read_again(self, tx: Tx, out: Outcome) -> None:
        """This may be a newer version than the one that stored the unknown messages."""
        read_again(tx, out, self._me, self._memberships, self.kinds)

    def _came_again(self, tx: Tx, out: Outcome, message: NewMessage) -> bool:
        """A restored server had lost it and its author has sent it again: what is shown moves to its row."""
        if not self._restored or not tx.restores.waits(message.chat_id, message.mid, message.sender):
            return False
        assert message.seq is not None
        change = tx.restores.place(
            message.chat_id, message.mid, message.sender, message.seq, message.server_ms or message.sent_ms
        )
        out.events.append(MessageChanged(change.message, change.previous_order))
        out.touched.add(message.chat_id)
        return True

    def _reopen_row(self, tx: Tx, out: Outcome, row: RawRow) -> bool:
        """Whether the row could be shown."""
        try:
            result = self._opener.open(tx, row, decode_outer(row.body))
        except NewerVersionError:
            return False
        if isinstance(result, OpenedMessage):
            message = self._opener.accept(tx, out, row, result)
            if message is None:  # what waited was a change to a message: its place goes
                display.remove(tx, out, row.chat_id, row.seq << ORDER_SHIFT)
            elif self._restored and tx.restores.waits(row.chat_id, message.mid, message.sender):
                display.remove(tx, out, row.chat_id, row.seq << ORDER_SHIFT)
                self._came_again(tx, out, message)
            else:
                display.show_again(tx, out, message)
            tx.rows.remove(row.chat_id, row.seq)
            return True
        if result is not None and not result.cause.may_open_later:
            params = {"reason": result.cause.value}
            tx.rows.put(display.kept(row, RowOutcome.TAMPERED))
            display.show_again(tx, out, display.unreadable(tx, row, Cause.TAMPERED, params))
            out.warn(tx, "row_tampered", self._me.clock.now_ms(), row.chat_id, reason=result.cause.value)
        elif result is not None and result.cause is MessageCause.UNKNOWN_HEAD:
            tx.rows.put(display.kept(row, RowOutcome.HELD))  # the key is here: now a membership event opens it
        return False


def _index_of(event: Event) -> tuple[SessionId, int] | None:
    """The session and index that a message's row names; None for any other row."""
    if event.kind != EventKind.MESSAGE:
        return None
    try:
        outer = decode_outer(bytes(event.body))
    except (MalformedError, NewerVersionError):
        return None
    return SessionId(outer.session_id), outer.idx
