"""What the server has not shown of an author's messages: the gaps in each session's indices, and erased rows."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, Message, MessageChanged, MessageReceived
from mensajeria.client.engine.holes import MAX_GAP, Gap, Place, missing_row
from mensajeria.client.engine.log_gaps import explained
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.row_display import place_id, remove, somebody
from mensajeria.client.engine.timers import timer_may_have_elapsed
from mensajeria.client.store import Tx
from mensajeria.client.store.erasures import BareTombstone
from mensajeria.client.store.key_values import Inbound, InboundKey
from mensajeria.client.store.values import ORDER_SHIFT, RawRow
from mensajeria.crypto.message import OpenedMessage
from mensajeria.protocol.frames import Tombstone
from mensajeria.protocol.ids import ChatId, SessionId
from mensajeria.protocol.records import MessageInner, MessageOuter

MISSING_ROWS: Final = "missing_rows"
"""Counter of the meta table: messages that never came."""


class MissingRows:
    """Follows the indices of each session. Its methods run in the store's thread, inside a transaction."""

    def __init__(self, me: Me, memberships: Memberships) -> None:
        self._me = me
        self._memberships = memberships
        self._expected: dict[InboundKey, int] = {}
        """The index that each author's next message should have; written once, at the end of a step."""

    def begin(self) -> None:
        """A step begins."""
        self._expected.clear()

    def finish(self, tx: Tx) -> None:
        """A step ends."""
        for key, next_idx in self._expected.items():
            tx.inbound.expect(key, next_idx)

    def next_of(self, stored: Inbound) -> int:
        """The index that comes next in a session, counting what has come in this step."""
        return self._expected.get(stored.key, stored.next_idx)

    def came(self, tx: Tx, key: InboundKey, idx: int) -> None:
        """The message of an index is here."""
        self._expected[key] = max(idx + 1, self._next_idx(tx, key) or 0)

    @staticmethod
    def note_voids(tx: Tx, key: InboundKey, inner: MessageInner) -> None:
        """Believe an author about the own sessions only."""
        if not inner.void:
            return
        own = [
            void
            for void in inner.void
            if tx.inbound.get(InboundKey(key.chat_id, SessionId(void.session_id), key.uid, key.did)) is not None
        ]
        tx.replays.note_voids(own)

    def before(self, tx: Tx, key: InboundKey, opened: OpenedMessage) -> Gap:
        """The earlier messages of the author's device that the server has not shown."""
        gap, prev = Gap(), opened.inner.prev
        if prev is not None:
            gap = self._at_end(tx, key, SessionId(prev.session_id), prev.idx)
        next_idx = self._next_idx(tx, key)
        if next_idx is not None and opened.index > next_idx:
            gap = gap.and_then(tx, key.session_id, next_idx, opened.index)
        # Before the earlier rows are all here, and among them, a gap says nothing: a window may begin anywhere.
        return Gap() if gap.count and tx.windows.is_fetching(key.chat_id) else gap

    def _at_end(self, tx: Tx, key: InboundKey, session_id: SessionId, last_acked: int) -> Gap:
        previous = InboundKey(key.chat_id, session_id, key.uid, key.did)
        next_idx = self._next_idx(tx, previous)
        if next_idx is None or next_idx > last_acked:
            return Gap()
        self._expected[previous] = last_acked + 1
        return Gap().and_then(tx, session_id, next_idx, last_acked + 1)

    def _next_idx(self, tx: Tx, key: InboundKey) -> int | None:
        """The index that comes next in a session; None for one that is not known."""
        if key not in self._expected:
            stored = tx.inbound.get(key)
            if stored is None:
                return None
            self._expected[key] = stored.next_idx
        return self._expected[key]

    def tell(self, tx: Tx, out: Outcome, row: RawRow, key: InboundKey, gap: Gap) -> None:
        """Told in one place, before which there is room for what the author's device may bring back."""
        now = self._me.clock.now_ms()
        params = {"count": str(gap.count)}
        notice = tx.messages.notice(
            row.chat_id,
            after_seq=row.seq - 1,
            mid=place_id(row.chat_id, row.seq, b"missing"),
            about=key.uid,
            cause=Cause.MISSING,
            at_ms=now,
            params=params,
            room=len(gap.last),
        )
        if notice is not None:
            out.events.append(MessageReceived(notice))
            for order, (session_id, idx) in enumerate(gap.last, notice.order - len(gap.last)):
                place = Place(order, row.seq, row.server_ms)
                out.ask_keys |= missing_row(tx, row.chat_id, session_id, idx, place, now)
        explained(tx, out, row.chat_id, row.seq, gap.count)
        tx.meta.count(MISSING_ROWS, gap.count)
        out.warn(tx, "messages_missing", now, row.chat_id, **params)

    def altered(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> None:
        """The true row of that index is with the device that wrote it, unless it is here already."""
        place = Place(row.seq << ORDER_SHIFT, row.seq, row.server_ms)
        now = self._me.clock.now_ms()
        out.ask_keys |= missing_row(tx, row.chat_id, SessionId(outer.session_id), outer.idx, place, now)

    def erased(self, tx: Tx, out: Outcome, row: RawRow, tombstone: Tombstone) -> None:
        """An erased row. Without a signed delete the server alone answers for it."""
        chat_id, session_id, now = row.chat_id, SessionId(tombstone.session_id), self._me.clock.now_ms()
        for stored in tx.inbound.find(chat_id, session_id):
            if self._next_idx(tx, stored.key) == tombstone.idx:
                self._expected[stored.key] = tombstone.idx + 1
        chain = self._memberships.of(tx, chat_id)
        elapsed = timer_may_have_elapsed(tx, chain.now, tombstone, row.server_ms, now)
        notice = tx.messages.notice(
            chat_id,
            after_seq=row.seq,
            mid=place_id(chat_id, row.seq, b"removed"),
            about=somebody(tx, chat_id),
            cause=Cause.NOT_KEPT if elapsed else Cause.REMOVED_BY_SERVER,
            at_ms=row.server_ms,
            params={"count": "1"},
        )
        order = None if notice is None else notice.order
        tx.erasures.note_tombstone(chat_id, session_id, tombstone.idx, BareTombstone(row.seq, row.server_ms, order))
        if not elapsed:
            place = Place(order, row.seq, row.server_ms)
            out.ask_keys |= missing_row(tx, chat_id, session_id, tombstone.idx, place, now)
        if notice is not None:
            out.events.append(MessageReceived(notice))


def missing_notice(tx: Tx, chat_id: ChatId, seq: int) -> Message | None:
    """What tells, before this row, of messages that did not come."""
    notice = tx.messages.find(chat_id, place_id(chat_id, seq, b"missing"))
    return notice if notice is not None and notice.cause is Cause.MISSING else None


def teller(tx: Tx, chat_id: ChatId, session_id: SessionId, idx: int) -> Message | None:
    """The next message of the session had told that this one is missing; in between others may have come back."""
    rows = tx.messages.rows_behind(chat_id, session_id, idx, MAX_GAP)
    return next((notice for seq in rows if (notice := missing_notice(tx, chat_id, seq)) is not None), None)


def came_after_all(tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId, idx: int) -> bool:
    """The row of an index that was missing is in the log: nobody is asked any more. Whether a notice had told of it."""
    hole = tx.holes.get(chat_id, session_id, idx)
    if hole is not None:
        tx.holes.remove(hole)
        notice = missing_notice(tx, chat_id, hole.seq)
    else:
        notice = teller(tx, chat_id, session_id, idx)
    if notice is not None:
        one_less_missing(tx, out, notice)
    return notice is not None


def one_less_missing(tx: Tx, out: Outcome, notice: Message) -> None:
    """One of the messages that the notice tells of has come back."""
    count = int(notice.params.get("count", "1")) - 1
    if count < 1:
        remove(tx, out, notice.chat_id, notice.order)
        return
    change = tx.messages.set_params(notice.chat_id, notice.order, {"count": str(count)})
    out.events.append(MessageChanged(change, notice.order))
