"""Rows of a chat's log: each is decided once, in the transaction that moves the cursor past it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from mensajeria.client.api import (
    Cause,
    Lost,
    Message,
    MessageChanged,
    MessageKind,
    MessageReceived,
    MessageRemoved,
    MessageState,
)
from mensajeria.client.engine.acks import acknowledge, seen_by_other
from mensajeria.client.engine.former_life import anything_waits, facts_for, give_way
from mensajeria.client.engine.gossip import note_told
from mensajeria.client.engine.holes import MAX_GAP, Gap, Place, missing_row
from mensajeria.client.engine.kinds import Arrival, Kinds, known_kinds
from mensajeria.client.engine.kinds.again import read_again
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Chain, Fork, Known, Memberships, known_identity_at
from mensajeria.client.engine.notices import note, note_event
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.timers import timer_may_have_elapsed
from mensajeria.client.store import Tx
from mensajeria.client.store.contacts import NOBODY
from mensajeria.client.store.erasures import BareTombstone
from mensajeria.client.store.values import (
    ORDER_SHIFT,
    Halt,
    Inbound,
    InboundKey,
    KeyRequestRow,
    NewMessage,
    RawRow,
    RowOutcome,
)
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import MessageCause, OpenedMessage, RefusedMessage, decode_outer, open_message
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, encode, u64
from mensajeria.protocol.frames import Event, EventKind, Tombstone
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid
from mensajeria.protocol.membership import (
    EARLIER_EVENTS,
    ChatKind,
    NewerType,
    Pending,
    Valid,
    Void,
    is_quarantined,
)
from mensajeria.protocol.records import MemberEvent, MembershipHead, MessageInner, MessageOuter, Signed

_log = logging.getLogger(__name__)
_WAITS: Final = {MessageCause.UNKNOWN_INDEX: RowOutcome.WAITING, MessageCause.UNKNOWN_HEAD: RowOutcome.HELD}
RESTORE_EPOCH: Final = "restore_epoch"
"""Counter of the meta table: how often the server was declared restored, from 1."""
LOST_ROWS: Final = "lost"
"""Counter of the meta table: rows that were ever given up."""
LATE: Final = {"late": "1"}
"""Parameters of a message that its author's removal had overtaken: shown folded, not counted."""
_LOST_PLACES: Final = frozenset({Cause.TAMPERED, Cause.REMOVED_BY_SERVER})
"""Places that tell of a row which its author's device may bring back."""
TAMPERED_ROWS: Final = "tampered_rows"
MISSING_ROWS: Final = "missing_rows"
"""Counters of the meta table: rows that failed verification, messages that never came."""
ANY_DEVICE: Final = Did(bytes(16))
"""In a key request: the author is not known, only the chat's other member is guessed."""
Applied = Callable[[Tx, Outcome, ChatId, MemberEvent, int, int], None]
"""(tx, out, chat, event, its row in the log, the row's time)"""


class RowReader:
    """Decides rows. Its methods run in the store's thread, inside a transaction."""

    def __init__(self, me: Me, memberships: Memberships) -> None:
        self._me = me
        self._memberships = memberships
        self.kinds = known_kinds()
        self._sessions: dict[tuple[ChatId, SessionId], list[tuple[Inbound, InboundSession]]] = {}
        self.applied: Applied = lambda *_: None
        """Told of a group's valid events, in the transaction that shows them."""
        self._expected: dict[InboundKey, int] = {}
        """The index that each author's next message should have; written once, at the end of a step."""
        self._restored = False
        """The server was restored some day: messages may wait for a new row."""
        self._waits = False
        """Something own has no row yet."""
        self._seen: dict[ChatId, int] = {}
        """The highest row that somebody else has written, of each chat; looked at once, at the end of a step."""
        self._identities: dict[tuple[bytes, int], bytes | None] = {}
        """Of authors, by the version of their list; of one step."""
        self._skipped: dict[ChatId, range] = {}
        """Rows below the one by which one joined that this device had never decided, of each chat; of one step."""

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

    def apply_earlier(self, tx: Tx, out: Outcome, chat_id: ChatId, events: Sequence[Event]) -> None:
        """Decide rows from before one joined that a member has given. The cursor stays where it is."""
        self._begin(tx)
        for event in events:
            if self._was_skipped(tx, chat_id, event.seq) and self._is_free(tx, out, event):
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

    def not_given(self, tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId, upto: int) -> None:
        """Who has given earlier rows does not give this session's first ones: they are from before one joined."""
        for row in tx.rows.waiting_for(chat_id, session_id, limit=-1):
            if row.seq <= upto:
                tx.rows.remove(chat_id, row.seq)
                before = self._unreadable(tx, chat_id, row.seq, row.server_ms, Cause.BEFORE_JOINED)
                self._show_again(tx, out, before)
        if not tx.rows.waiting_for(chat_id, session_id, limit=1):
            tx.requests.remove(chat_id, session_id)
            tx.sources.forget(chat_id, session_id)

    def reopen(self, tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId) -> int:
        """A key has come: open what waited for it, or had been given up for lack of it. How many rows it opened."""
        self._begin(tx)
        opened, after = 0, 0
        while rows := tx.rows.closed_for(chat_id, session_id, after):
            opened += sum(self._reopen_row(tx, out, row) for row in rows)
            after = rows[-1].seq
        self._finish(tx)
        if not tx.rows.waiting_for(chat_id, session_id, limit=1):
            tx.requests.remove(chat_id, session_id)
            tx.sources.forget(chat_id, session_id)
        return opened

    def resent(self, tx: Tx, out: Outcome, row: RawRow, order: int) -> bool:
        """An altered or lost row comes from its author's device: shown where its loss was told, if it verifies."""
        standing = tx.messages.at(row.chat_id, order)
        notice = None if standing is not None else _missing_notice(tx, row.chat_id, row.seq)
        if notice is None and (standing is None or standing.cause not in _LOST_PLACES):
            return False
        self._begin(tx)
        result = self._try(tx, row, decode_outer(row.body))
        if not isinstance(result, OpenedMessage):
            return False
        message = self._accept(tx, out, row, result)
        self._finish(tx)
        if standing is None:
            self._put_before(tx, out, order, message)
        else:
            self._put_instead(tx, out, row.chat_id, order, message)
            if standing.cause is Cause.TAMPERED:
                tx.rows.remove(row.chat_id, row.seq)
                notice = _teller(tx, row.chat_id, SessionId(result.inner.session_id), result.index)
        if notice is not None:
            self._one_less_missing(tx, out, notice)
        return True

    def _put_before(self, tx: Tx, out: Outcome, order: int, message: NewMessage | None) -> None:
        """At the place that was left free before the notice; a change to a message has none of its own."""
        shown = None if message is None else tx.messages.insert(order, message)
        if shown is not None:
            out.events.append(MessageReceived(self.kinds.placed(tx, out, shown)))
            out.touched.add(shown.chat_id)

    def _put_instead(self, tx: Tx, out: Outcome, chat_id: ChatId, order: int, message: NewMessage | None) -> None:
        if message is None:
            self._gone(tx, out, chat_id, order)
            return
        change = tx.messages.replace(order, message)
        out.events.append(MessageChanged(self.kinds.placed(tx, out, change.message), change.previous_order))
        out.touched.add(chat_id)

    def _one_less_missing(self, tx: Tx, out: Outcome, notice: Message) -> None:
        count = int(notice.params.get("count", "1")) - 1
        if count < 1:
            self._gone(tx, out, notice.chat_id, notice.order)
            return
        change = tx.messages.set_params(notice.chat_id, notice.order, {"count": str(count)})
        out.events.append(MessageChanged(change, notice.order))

    def _gone(self, tx: Tx, out: Outcome, chat_id: ChatId, order: int) -> None:
        removed = tx.messages.remove(chat_id, order)
        if removed is not None:
            out.events.append(MessageRemoved(chat_id, removed, order))
            out.touched.add(chat_id)

    def reopen_held(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        """A membership event or a device list has come: look again at what had needed it."""
        self._begin(tx)
        self._look_again(tx, out, chat_id)
        self._finish(tx)

    def _look_again(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        for row in tx.rows.with_outcome(chat_id, RowOutcome.HELD):
            if row.kind == EventKind.MEMBER:
                if self._judge(tx, out, chat_id, row.body, row.seq, row.server_ms) is not None:
                    tx.rows.remove(chat_id, row.seq)
            else:
                self._reopen_row(tx, out, row)

    def give_up(self, tx: Tx, out: Outcome, chat_id: ChatId, session_id: SessionId, why: Lost = Lost.SILENT) -> None:
        """The key is not to be had: what waits for it is lost, unless it comes after all."""
        params = {"why": why.value}
        while rows := tx.rows.waiting_for(chat_id, session_id):
            for row in rows:
                tx.rows.put(_kept(row, RowOutcome.LOST))
                lost = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.LOST, params)
                self._show_again(tx, out, lost)
            tx.meta.count(LOST_ROWS, len(rows))
        tx.requests.remove(chat_id, session_id)
        tx.sources.forget(chat_id, session_id)

    def _begin(self, tx: Tx) -> None:
        self._restored = tx.meta.number(RESTORE_EPOCH) > 1
        self._waits = anything_waits(tx)
        self._sessions.clear()
        self._expected.clear()
        self._seen.clear()
        self._skipped.clear()
        self._identities.clear()

    def _was_skipped(self, tx: Tx, chat_id: ChatId, seq: int) -> bool:
        """Whether the cursor went past the row when one joined: it can only have come later, from a window."""
        if chat_id not in self._skipped:
            group = tx.groups.get(chat_id)
            self._skipped[chat_id] = range(0) if group is None else range(group.skipped_from, group.joined_seq)
        return seq in self._skipped[chat_id]

    def _finish(self, tx: Tx) -> None:
        for chat_id, seq in self._seen.items():
            seen_by_other(tx, chat_id, seq)
        for key, next_idx in self._expected.items():
            tx.inbound.expect(key, next_idx)

    # --- one row ---

    def _decide(self, tx: Tx, out: Outcome, chat_id: ChatId, event: Event) -> None:
        if event.kind == EventKind.MESSAGE:
            self._message(tx, out, chat_id, event)
        elif event.kind == EventKind.MEMBER:
            self._member_event(tx, out, chat_id, event)
        else:
            self._tombstone(tx, out, chat_id, event)

    def _message(self, tx: Tx, out: Outcome, chat_id: ChatId, event: Event) -> None:
        row = RawRow(chat_id, event.seq, int(event.kind), event.ts, bytes(event.body))
        try:
            outer = decode_outer(row.body)
        except NewerVersionError:
            self._show(tx, out, self._unreadable(tx, chat_id, event.seq, event.ts, None), row, RowOutcome.HELD)
            return
        except MalformedError:
            self._tampered(tx, out, row, MessageCause.MALFORMED)
            return
        if outer.chat_id != chat_id:
            self._tampered(tx, out, row, MessageCause.WRONG_CHAT)
        elif not self._is_own_unacked(tx, out, row, outer):
            self._open(tx, out, row, outer)

    def _is_own_unacked(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> bool:
        """A message of this device whose ack was lost: the row is the ack, if it holds what was sent."""
        sessions = self._inbound(tx, row.chat_id, SessionId(outer.session_id))
        if sessions and all(stored.key.did != self._me.did for stored, _ in sessions):
            return False  # verified to be somebody else's session: nothing more to look up for most rows
        item = tx.outbox.get(row.chat_id, Mid(outer.mid))
        if item is None or item.sealed is None or item.sealed.outer != row.body:
            return False  # sealed earlier, or by the profile that this one was copied from: its key will tell
        acknowledge(tx, out, self._me, row.chat_id, item.mid, row.seq, row.server_ms)
        return True

    def _open(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> None:
        result = self._try(tx, row, outer)
        if isinstance(result, OpenedMessage):
            message = self._accept(tx, out, row, result)
            if message is not None and not self._came_again(tx, out, message):
                out.events.append(MessageReceived(self.kinds.placed(tx, out, tx.messages.add(message))))
        elif result is None or result.cause in _WAITS:
            cause = MessageCause.UNKNOWN_INDEX if result is None else result.cause
            self._wait(tx, out, row, outer, _WAITS[cause])
            if cause is MessageCause.UNKNOWN_HEAD:
                out.wanted_chains.add(row.chat_id)
        elif result.cause is MessageCause.NEWER_VERSION:
            self._show(tx, out, self._unreadable(tx, row.chat_id, row.seq, row.server_ms, None), row, RowOutcome.HELD)
        elif not (result.cause is MessageCause.DUPLICATE and self._is_known_own(tx, row, outer)):
            self._tampered(tx, out, row, result.cause)
            self._ask_author(tx, out, row, outer)

    def _try(self, tx: Tx, row: RawRow, outer: MessageOuter) -> OpenedMessage | RefusedMessage | None:
        """Open with the sessions of that id; None when there is none."""
        chain = self._memberships.of(tx, row.chat_id)
        refused: RefusedMessage | None = None
        for stored, session in self._inbound(tx, row.chat_id, SessionId(outer.session_id)):
            result = open_message(
                row.body,
                session,
                chat_id=row.chat_id,
                facts=facts_for(tx, self._me, stored.key, outer) if self._waits else tx.replays,
                member_at=lambda head, uid, dl_ver: self._may_write(tx, chain, head, uid, dl_ver),
                arrived_ms=row.server_ms,
                last_epoch_before=_epochs(chain),
            )
            if isinstance(result, OpenedMessage):
                if result.session_changed:
                    next_idx = self._expected.get(stored.key, stored.next_idx)
                    tx.inbound.put(Inbound(stored.key, result.inbound.dump(), stored.created_ms, next_idx))
                    self._sessions.clear()
                return result
            refused = refused or result
        return refused

    def _may_write(self, tx: Tx, chain: Chain, head: MembershipHead, uid: bytes, dl_ver: int) -> bool | None:
        """As `Chain.member_at`, and under the identity that the chat knew there, not one the server has put there."""
        allowed = chain.member_at(head, uid, dl_ver)
        if not allowed:
            return allowed
        state = chain.at(head.seq)
        assert state is not None, "the head was found there"
        named = state.members[uid].idfp
        if not named:
            return True
        key = (uid, dl_ver)
        if key not in self._identities:
            self._identities[key] = known_identity_at(tx, uid, dl_ver)
        return self._identities[key] in {None, named}

    def _inbound(self, tx: Tx, chat_id: ChatId, session_id: SessionId) -> list[tuple[Inbound, InboundSession]]:
        key = (chat_id, session_id)
        if key not in self._sessions:
            found = tx.inbound.find(chat_id, session_id)
            self._sessions[key] = [(stored, InboundSession.load(stored.state)) for stored in found]
        return self._sessions[key]

    def _is_known_own(self, tx: Tx, row: RawRow, outer: MessageOuter) -> bool:
        """The row of an own message that was acked before; anywhere else the same ciphertext is a replay."""
        message = tx.messages.find(row.chat_id, Mid(outer.mid), self._me.uid)
        return message is not None and message.seq == row.seq

    # --- what becomes of it ---

    def _accept(self, tx: Tx, out: Outcome, row: RawRow, opened: OpenedMessage) -> NewMessage | None:
        """Note what the message uses up and what it tells, and do what its type says; its place in the timeline."""
        inner = opened.inner
        key = InboundKey(row.chat_id, SessionId(inner.session_id), Uid(inner.uid), Did(inner.did))
        self._note_voids(tx, key, inner)
        if key.uid != self._me.uid:
            note_told(tx, out, inner)
        missing = self._missing(tx, key, opened)
        sealed_here = tx.replays.ciphertext_hash(key.session_id, opened.index) is not None
        self._expected[key] = max(opened.index + 1, self._next_idx(tx, key) or 0)
        tx.replays.note(key.chat_id, key.uid, Mid(inner.mid), key.session_id, opened.index, opened.ct_hash)
        if missing.count:
            self._notice_missing(tx, out, row, key, missing)
        if (key.uid, key.did) == (self._me.uid, self._me.did) and not sealed_here:
            # What this device seals is noted before it leaves: something has sealed this with a copy of its keys.
            out.rolled_back = True
        if key.uid != self._me.uid:
            self._seen[key.chat_id] = max(row.seq, self._seen.get(key.chat_id, 0))
        if opened.unrotated:
            out.warn(tx, "not_rotated", self._me.clock.now_ms(), row.chat_id)
        if self._waits and key.uid == self._me.uid:
            give_way(tx, out, self._me, key.chat_id, Mid(inner.mid))
        late = self._is_late(tx, row, opened)
        message = self.kinds.read(tx, out, self._arrival(tx, row, opened, late=late))
        if message is not None and late:
            return replace(message, counted=False, params={**message.params, **LATE})
        if message is not None and self._was_skipped(tx, row.chat_id, row.seq):
            return replace(message, counted=False)
        return message

    def read_again(self, tx: Tx, out: Outcome) -> None:
        """This may be a newer version than the one that stored the unknown messages."""
        read_again(tx, out, self._me, self._memberships, self.kinds)

    def _arrival(self, tx: Tx, row: RawRow, opened: OpenedMessage, *, late: bool) -> Arrival:
        """With the author's role at the message's head, which the checks have found in the chain."""
        inner = opened.inner
        at_head = self._memberships.of(tx, row.chat_id).at(inner.mhead.seq)
        return Arrival(
            chat_id=row.chat_id,
            seq=row.seq,
            server_ms=row.server_ms,
            inner=inner,
            body=opened.body,
            idx=opened.index,
            clock_off=opened.clock_off,
            outgoing=inner.uid == self._me.uid,
            direct=at_head is not None and at_head.kind is ChatKind.DIRECT,
            role=None if at_head is None else at_head.role(inner.uid),
            late=late,
        )

    def _is_late(self, tx: Tx, row: RawRow, opened: OpenedMessage) -> bool:
        """Was the author cut off already when the row came into the log?"""
        chain = self._memberships.of(tx, row.chat_id)
        inner = opened.inner
        cut = chain.cut_after(inner.mhead.seq, inner.uid, opened.inbound.binding.dl_ver)
        return cut is not None and is_quarantined(
            mhead_seq=inner.mhead.seq,
            cut_seq=cut,
            cut_row_seq=chain.row_of(cut),
            row_seq=row.seq,
            cursor_passed=self._was_skipped(tx, row.chat_id, row.seq),
        )

    def _note_voids(self, tx: Tx, key: InboundKey, inner: MessageInner) -> None:
        """Believe an author about the own sessions only."""
        if not inner.void:
            return
        own = [
            void
            for void in inner.void
            if tx.inbound.get(InboundKey(key.chat_id, SessionId(void.session_id), key.uid, key.did)) is not None
        ]
        tx.replays.note_voids(own)

    def _missing(self, tx: Tx, key: InboundKey, opened: OpenedMessage) -> Gap:
        """The earlier messages of the author's device that the server has not shown."""
        gap, prev = Gap(), opened.inner.prev
        if prev is not None:
            gap = self._missing_at_end(tx, key, SessionId(prev.session_id), prev.idx)
        next_idx = self._next_idx(tx, key)
        if next_idx is not None and opened.index > next_idx:
            gap = gap.and_then(tx, key.session_id, next_idx, opened.index)
        # Before the earlier rows are all here, and among them, a gap says nothing: a window may begin anywhere.
        return Gap() if gap.count and self._has_window(tx, key.chat_id) else gap

    @staticmethod
    def _has_window(tx: Tx, chat_id: ChatId) -> bool:
        return tx.windows.is_fetching(chat_id)

    def _missing_at_end(self, tx: Tx, key: InboundKey, session_id: SessionId, last_acked: int) -> Gap:
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

    def _notice_missing(self, tx: Tx, out: Outcome, row: RawRow, key: InboundKey, gap: Gap) -> None:
        """Told in one place, before which there is room for what the author's device may bring back."""
        now = self._me.clock.now_ms()
        params = {"count": str(gap.count)}
        notice = tx.messages.notice(
            row.chat_id,
            after_seq=row.seq - 1,
            mid=_place_id(row.chat_id, row.seq, b"missing"),
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
        tx.meta.count(MISSING_ROWS, gap.count)
        out.warn(tx, "messages_missing", now, row.chat_id, **params)

    def _wait(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter, why: RowOutcome) -> None:
        if not self._memberships.is_member(tx, row.chat_id, self._me.uid):  # between a removal and being added again
            before = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.BEFORE_JOINED)
            out.events.append(MessageReceived(tx.messages.add(before)))
            return
        if outer.ttl_bucket and self._was_skipped(tx, row.chat_id, row.seq):  # its key is given to nobody later
            gone = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.NOT_KEPT)
            out.events.append(MessageReceived(tx.messages.add(gone)))
            return
        waiting = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.WAITING)
        self._show(tx, out, waiting, row, why, SessionId(outer.session_id))
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
        window = tx.windows.at(row.chat_id, row.seq) if self._was_skipped(tx, row.chat_id, row.seq) else None
        if window is not None:
            return InboundKey(row.chat_id, session_id, window.uid, window.did)
        return InboundKey(row.chat_id, session_id, self._somebody(tx, row.chat_id), ANY_DEVICE)

    def _tampered(self, tx: Tx, out: Outcome, row: RawRow, cause: MessageCause) -> None:
        message = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.TAMPERED, {"reason": cause.value})
        self._show(tx, out, message, row, RowOutcome.TAMPERED)
        tx.meta.count(TAMPERED_ROWS)
        out.warn(tx, "row_tampered", self._me.clock.now_ms(), row.chat_id, reason=cause.value)

    def _ask_author(self, tx: Tx, out: Outcome, row: RawRow, outer: MessageOuter) -> None:
        """The true row of that index is with the device that wrote it, unless it is here already."""
        place = Place(row.seq << ORDER_SHIFT, row.seq, row.server_ms)
        now = self._me.clock.now_ms()
        out.ask_keys |= missing_row(tx, row.chat_id, SessionId(outer.session_id), outer.idx, place, now)

    def _unreadable(
        self, tx: Tx, chat_id: ChatId, seq: int, at_ms: int, cause: Cause | None, params: dict[str, str] | None = None
    ) -> NewMessage:
        """A place whose content nobody vouches for: it names nobody but a direct chat's other member."""
        return NewMessage(
            chat_id=chat_id,
            mid=_place_id(chat_id, seq, b"row"),
            sender=self._somebody(tx, chat_id),
            outgoing=False,
            kind=MessageKind.UNKNOWN if cause is None else MessageKind.UNREADABLE,
            state=MessageState.RECEIVED,
            sent_ms=at_ms,
            seq=seq,
            server_ms=at_ms,
            cause=cause,
            params=params or {},
        )

    @staticmethod
    def _somebody(tx: Tx, chat_id: ChatId) -> Uid:
        """Who is shown where nobody is proven: a direct chat has one candidate, a group names nobody."""
        chat = tx.chats.get(chat_id)
        return NOBODY if chat is None or chat.peer is None else chat.peer

    @staticmethod
    def _show(
        tx: Tx, out: Outcome, message: NewMessage, row: RawRow, why: RowOutcome, session_id: SessionId | None = None
    ) -> None:
        tx.rows.put(_kept(row, why, session_id))
        out.events.append(MessageReceived(tx.messages.add(message)))

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

    @staticmethod
    def _show_again(tx: Tx, out: Outcome, message: NewMessage) -> None:
        assert message.seq is not None
        change = tx.messages.replace(message.seq << ORDER_SHIFT, message)
        shown = Kinds.placed(tx, out, change.message)
        out.events.append(MessageChanged(shown, change.previous_order))
        out.touched.add(message.chat_id)

    def _vanish(self, tx: Tx, out: Outcome, row: RawRow) -> None:
        """What waited was no message of its own but a change to one: its place goes."""
        self._gone(tx, out, row.chat_id, row.seq << ORDER_SHIFT)

    def _reopen_row(self, tx: Tx, out: Outcome, row: RawRow) -> bool:
        """Whether the row could be shown."""
        try:
            result = self._try(tx, row, decode_outer(row.body))
        except NewerVersionError:
            return False
        if isinstance(result, OpenedMessage):
            message = self._accept(tx, out, row, result)
            if message is None:
                self._vanish(tx, out, row)
            elif self._restored and tx.restores.waits(row.chat_id, message.mid, message.sender):
                self._vanish(tx, out, row)
                self._came_again(tx, out, message)
            else:
                self._show_again(tx, out, message)
            tx.rows.remove(row.chat_id, row.seq)
            return True
        if result is not None and not result.cause.may_open_later:
            params = {"reason": result.cause.value}
            unreadable = self._unreadable(tx, row.chat_id, row.seq, row.server_ms, Cause.TAMPERED, params)
            tx.rows.put(_kept(row, RowOutcome.TAMPERED, row.session_id))
            self._show_again(tx, out, unreadable)
            out.warn(tx, "row_tampered", self._me.clock.now_ms(), row.chat_id, reason=result.cause.value)
        elif result is not None and result.cause is MessageCause.UNKNOWN_HEAD:
            tx.rows.put(_kept(row, RowOutcome.HELD))  # the key is here: now a membership event opens it
        return False

    # --- rows that are no messages ---

    def _member_event(self, tx: Tx, out: Outcome, chat_id: ChatId, event: Event) -> None:
        """A void event has no effect; one that cannot be judged yet is kept until its author's list is here."""
        valid = self._judge(tx, out, chat_id, bytes(event.body), event.seq, event.ts)
        if valid is None:
            body = bytes(event.body)
            tx.rows.put(RawRow(chat_id, event.seq, int(event.kind), event.ts, body, None, RowOutcome.HELD))
        elif valid:
            self._look_again(tx, out, chat_id)

    def _judge(self, tx: Tx, out: Outcome, chat_id: ChatId, body: bytes, row_seq: int, at_ms: int) -> bool | None:
        """Whether the event took effect; None when that cannot be told yet."""
        try:
            signed = decode_array(Signed, body, max_size=limits.MAX_FRAME)
        except MalformedError:
            return False
        verdict = self._memberships.judge(tx, chat_id, signed, row_seq)
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
                if tx.groups.get(chat_id) is not None:
                    out.giving = out.giving or verdict.event.type == "identity"
                    self._came_back(tx, chat_id, verdict.event, row_seq)
                    note_event(tx, out, chat_id, verdict.event, row_seq, at_ms)
                    self.applied(tx, out, chat_id, verdict.event, row_seq, at_ms)
            case Void(reason):
                _log.info("membership event without effect: %s", reason.value)
        return isinstance(verdict, Valid | Known)

    def _came_back(self, tx: Tx, chat_id: ChatId, event: MemberEvent, row_seq: int) -> None:
        """Who was out for a while is added again: rows from then stand below this one."""
        group, chat = tx.groups.get(chat_id), tx.chats.get(chat_id)
        if event.type != "add" or group is None or chat is None or row_seq <= group.joined_seq:
            return
        if any(member.uid == self._me.uid for member in event.members):
            out_since = self._memberships.of(tx, chat_id).out_since(self._me.uid, event.seq)
            tx.groups.set_joined(chat_id, row_seq, min(chat.cursor, out_since) + 1)
            self._skipped.pop(chat_id, None)

    def learn(self, tx: Tx, out: Outcome, chat_id: ChatId, signed: Signed, row_seq: int) -> None:
        """Judge an event that came beside the log. It takes effect now; its row shows it."""
        verdict = self._memberships.judge(tx, chat_id, signed, row_seq)
        if isinstance(verdict, Fork):
            self._forked(tx, out, chat_id, verdict)
        elif isinstance(verdict, Pending):
            out.wanted_lists.update(self._memberships.members(tx, chat_id))

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

    def _tombstone(self, tx: Tx, out: Outcome, chat_id: ChatId, event: Event) -> None:
        """An erased row. Without a signed delete the server alone answers for it."""
        try:
            tombstone = decode_array(Tombstone, bytes(event.body), max_size=limits.MAX_FRAME)
        except MalformedError:
            row = RawRow(chat_id, event.seq, int(event.kind), event.ts, bytes(event.body))
            self._tampered(tx, out, row, MessageCause.MALFORMED)
            return
        for stored in tx.inbound.find(chat_id, SessionId(tombstone.session_id)):
            if self._next_idx(tx, stored.key) == tombstone.idx:
                self._expected[stored.key] = tombstone.idx + 1
        elapsed = timer_may_have_elapsed(
            tx, self._memberships.of(tx, chat_id).now, tombstone, event.ts, self._me.clock.now_ms()
        )
        notice = tx.messages.notice(
            chat_id,
            after_seq=event.seq,
            mid=_place_id(chat_id, event.seq, b"removed"),
            about=self._somebody(tx, chat_id),
            cause=Cause.NOT_KEPT if elapsed else Cause.REMOVED_BY_SERVER,
            at_ms=event.ts,
            params={"count": "1"},
        )
        order = None if notice is None else notice.order
        bare = BareTombstone(event.seq, event.ts, order)
        session_id = SessionId(tombstone.session_id)
        tx.erasures.note_tombstone(chat_id, session_id, tombstone.idx, bare)
        if not elapsed:
            place, now = Place(order, event.seq, event.ts), self._me.clock.now_ms()
            out.ask_keys |= missing_row(tx, chat_id, session_id, tombstone.idx, place, now)
        if notice is not None:
            out.events.append(MessageReceived(notice))


def _kept(row: RawRow, why: RowOutcome, session_id: SessionId | None = None) -> RawRow:
    return RawRow(row.chat_id, row.seq, row.kind, row.server_ms, row.body, session_id or row.session_id, why)


def _place_id(chat_id: ChatId, seq: int, what: bytes) -> Mid:
    """An id for what stands in the timeline and is no verified message."""
    return Mid(H("place", chat_id, u64(seq), what)[:16])


def _missing_notice(tx: Tx, chat_id: ChatId, seq: int) -> Message | None:
    """What tells, before this row, of messages that did not come."""
    notice = tx.messages.find(chat_id, _place_id(chat_id, seq, b"missing"))
    return notice if notice is not None and notice.cause is Cause.MISSING else None


def _teller(tx: Tx, chat_id: ChatId, session_id: SessionId, idx: int) -> Message | None:
    """The next message of the session had told that this one is missing; in between others may have come back."""
    rows = tx.messages.rows_behind(chat_id, session_id, idx, MAX_GAP)
    return next((notice for seq in rows if (notice := _missing_notice(tx, chat_id, seq)) is not None), None)


def _epochs(chain: Chain) -> Callable[[int], int]:
    def last_epoch_before(seq: int) -> int:
        return (chain.at(seq) or chain.now).epoch

    return last_epoch_before
