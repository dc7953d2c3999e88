"""Membership events of a chat's log: judged once, shown, and what they change for this device."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mensajeria.client.api import Cause
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Fork, Known, Memberships
from mensajeria.client.engine.notices import note, note_event
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.row_display import kept
from mensajeria.client.engine.skipped_rows import SkippedRows
from mensajeria.client.store import Tx
from mensajeria.client.store.contacts import NOBODY
from mensajeria.client.store.values import Halt, RawRow, RowOutcome
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.membership import EARLIER_EVENTS, NewerType, Pending, Valid, Void
from mensajeria.protocol.records import MemberEvent, Signed

_log = logging.getLogger(__name__)
Applied = Callable[[Tx, Outcome, ChatId, MemberEvent, int, int], None]
"""(tx, out, chat, event, its row in the log, the row's time)"""


class MemberRows:
    """Judges membership events. Its methods run in the store's thread, inside a transaction."""

    def __init__(self, me: Me, memberships: Memberships, skipped: SkippedRows) -> None:
        self._me = me
        self._memberships = memberships
        self._skipped = skipped
        self.applied: Applied = lambda *_: None
        """Told of a group's valid events, in the transaction that shows them."""

    def decide(self, tx: Tx, out: Outcome, row: RawRow) -> bool:
        """Whether the event took effect; one that cannot be judged yet is kept until its author's list is here."""
        valid = self.judge(tx, out, row)
        if valid is None:
            tx.rows.put(kept(row, RowOutcome.HELD))
        return bool(valid)

    def judge(self, tx: Tx, out: Outcome, row: RawRow) -> bool | None:
        """Whether the event took effect; None when that cannot be told yet."""
        try:
            signed = decode_array(Signed, row.body, max_size=limits.MAX_FRAME)
        except MalformedError:
            return False
        chat_id = row.chat_id
        verdict = self._memberships.judge(tx, chat_id, signed, row.seq)
        match verdict:
            case Pending(what):
                if what == EARLIER_EVENTS:
                    out.wanted_chains.add(chat_id)
                out.wanted_lists.update(self._memberships.members(tx, chat_id))
                return None
            case NewerType():
                return None
            case Fork():
                self._forked(tx, out, chat_id, verdict)
            case Valid() | Known():
                self._show(tx, out, row, verdict.event)
            case Void(reason):
                _log.info("membership event without effect: %s", reason.value)
        return isinstance(verdict, Valid | Known)

    def learn(self, tx: Tx, out: Outcome, chat_id: ChatId, signed: Signed, row_seq: int) -> None:
        """Judge an event that came beside the log. It takes effect now; its row shows it."""
        verdict = self._memberships.judge(tx, chat_id, signed, row_seq)
        if isinstance(verdict, Fork):
            self._forked(tx, out, chat_id, verdict)
        elif isinstance(verdict, Pending):
            out.wanted_lists.update(self._memberships.members(tx, chat_id))

    def _show(self, tx: Tx, out: Outcome, row: RawRow, event: MemberEvent) -> None:
        chat_id = row.chat_id
        if tx.groups.get(chat_id) is None:
            return
        out.giving = out.giving or event.type == "identity"
        self._came_back(tx, chat_id, event, row.seq)
        note_event(tx, out, chat_id, event, row.seq, row.server_ms)
        self.applied(tx, out, chat_id, event, row.seq, row.server_ms)

    def _came_back(self, tx: Tx, chat_id: ChatId, event: MemberEvent, row_seq: int) -> None:
        """Who was out for a while is added again: rows from then stand below this one."""
        group, chat = tx.groups.get(chat_id), tx.chats.get(chat_id)
        if event.type != "add" or group is None or chat is None or row_seq <= group.joined_seq:
            return
        if any(member.uid == self._me.uid for member in event.members):
            out_since = self._memberships.of(tx, chat_id).out_since(self._me.uid, event.seq)
            tx.groups.set_joined(chat_id, row_seq, min(chat.cursor, out_since) + 1)
            self._skipped.changed(chat_id)

    def _forked(self, tx: Tx, out: Outcome, chat_id: ChatId, fork: Fork) -> None:
        """Keep the evidence and stop writing: who is in the group depends on whom the server talks to."""
        chat = tx.chats.get(chat_id)
        assert chat is not None
        now = self._me.clock.now_ms()
        known = tx.groups.forks(chat_id) if chat.is_group else ()
        if not chat.is_group or (encode(fork.first), encode(fork.second)) in known:
            return
        tx.groups.add_fork(chat_id, encode(fork.first), encode(fork.second), now)
        tx.groups.halt(chat_id, Halt.FORKED)
        out.warn(tx, "group_forked", now, chat_id)
        if not known:
            note(tx, out, self._me, chat, Cause.GROUP_FORKED, {}, NOBODY)
