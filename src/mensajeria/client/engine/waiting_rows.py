"""Rows whose key is not here: shown as waiting, asked for, and given up."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, Lost, MessageReceived
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.row_display import kept, show, show_again, somebody, unreadable
from mensajeria.client.engine.skipped_rows import SkippedRows
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey, KeyRequestRow
from mensajeria.client.store.values import RawRow, RowOutcome
from mensajeria.protocol.ids import ChatId, Did, SessionId
from mensajeria.protocol.records import MessageOuter

LOST_ROWS: Final = "lost"
"""Counter of the meta table: rows that were ever given up."""
ANY_DEVICE: Final = Did(bytes(16))
"""In a key request: the author is not known, only the chat's other member is guessed."""


class WaitingRows:
    """Lets rows wait for their keys. Its methods run in the store's thread, inside a transaction."""

    def __init__(self, me: Me, memberships: Memberships, skipped: SkippedRows) -> None:
        self._me = me
        self._memberships = memberships
        self._skipped = skipped

    def add(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter, why: RowOutcome) -> None:
        """Show the row as waiting, for its key or for a membership event, unless nobody is to give it."""
        if not self._memberships.is_member(tx, row.chat_id, self._me.uid):  # between a removal and being added again
            out.events.append(MessageReceived(tx.messages.add(unreadable(tx, row, Cause.BEFORE_JOINED))))
            return
        if outer.ttl_bucket and self._skipped.have(tx, row.chat_id, row.seq):  # its key is given to nobody later
            out.events.append(MessageReceived(tx.messages.add(unreadable(tx, row, Cause.NOT_KEPT))))
            return
        show(tx, out, unreadable(tx, row, Cause.WAITING), row, why, SessionId(outer.session_id))
        if why is RowOutcome.WAITING:
            self._request(tx, out, row, SessionId(outer.session_id), outer.idx)

    def _request(self, tx: Tx, out: Outcome, row: RawRow, session_id: SessionId, idx: int) -> None:
        chat_id, now = row.chat_id, self._me.clock.now_ms()
        known = tx.requests.open(chat_id, session_id)
        key = known[0].key if known else self._whom_to_ask(tx, row, session_id)
        step, first, following = (known[0].step, known[0].first_ms, known[0].next_ms) if known else (0, now, now)
        tx.requests.put(KeyRequestRow(key, idx, step, first, following))
        out.ask_keys = True

    def _whom_to_ask(self, tx: Tx, row: RawRow, session_id: SessionId) -> InboundKey:
        """For a row from before one joined only its giver has an answer; for any other one everybody may have it."""
        window = tx.windows.at(row.chat_id, row.seq) if self._skipped.have(tx, row.chat_id, row.seq) else None
        if window is not None:
            return InboundKey(row.chat_id, session_id, window.uid, window.did)
        return InboundKey(row.chat_id, session_id, somebody(tx, row.chat_id), ANY_DEVICE)


def not_given(tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId, upto: int) -> None:
    """Who has given earlier rows does not give this session's first ones: they are from before one joined."""
    for row in tx.rows.waiting_for(chat_id, session_id, limit=-1):
        if row.seq <= upto:
            tx.rows.remove(chat_id, row.seq)
            show_again(tx, out, unreadable(tx, row, Cause.BEFORE_JOINED))
    stop_asking_if_done(tx, chat_id, session_id)


def give_up(tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId, why: Lost = Lost.SILENT) -> None:
    """The key is not to be had: what waits for it is lost, unless it comes after all."""
    params = {"why": why.value}
    while rows := tx.rows.waiting_for(chat_id, session_id):
        for row in rows:
            tx.rows.put(kept(row, RowOutcome.LOST))
            show_again(tx, out, unreadable(tx, row, Cause.LOST, params))
        tx.meta.count(LOST_ROWS, len(rows))
    _stop_asking(tx, chat_id, session_id)


def stop_asking_if_done(tx: Tx, chat_id: ChatId, session_id: SessionId) -> None:
    """Nothing waits for the session's key any more, perhaps."""
    if not tx.rows.waiting_for(chat_id, session_id, limit=1):
        _stop_asking(tx, chat_id, session_id)


def _stop_asking(tx: Tx, chat_id: ChatId, session_id: SessionId) -> None:
    tx.requests.remove(chat_id, session_id)
    tx.sources.forget(chat_id, session_id)
