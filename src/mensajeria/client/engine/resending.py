"""Rows that the server has altered or lost: asked of the device that wrote them, which has kept them as they were sent.

The row that comes back is the very ciphertext of that index. It is opened like any row and takes the place that told of
the loss; what does not verify changes nothing (docs/decisions/0020-a-lost-row-comes-back-from-its-author.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.healing import Healer
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.store import Tx
from mensajeria.client.store.values import RawRow
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, NewerVersionError, encode
from mensajeria.protocol.frames import EventKind
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records import Record, ToDevice
from mensajeria.protocol.records_healing import RESEND_MAX, Resend, ResendPart, ResendRequest

_log = logging.getLogger(__name__)
REQUEST: Final = "resend_request"
RESEND: Final = "resend"
PART: Final = "resend_part"
RESENT: Final = "healed:resend"
"""Counter of the meta table: lost rows that their author's device has brought back."""
DELAYS_MS: Final = (30_000, 300_000, 3_600_000, *([24 * 3600 * 1000] * 7))
"""Between one question and the next; after the last one the place stays as it is."""
KEPT_MS: Final = 30 * 24 * 3600 * 1000
PER_HOUR: Final = 100
"""Letters to one device."""
MAX_GATHERED: Final = 8
"""Long rows that may be on their way at one time."""


class Gathered:
    """Long rows that come in parts. In memory only: what a restart forgets is asked for again."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, bytes, int], bytes] = {}

    def add(self, part: ResendPart) -> bytes | None:
        """The row, once it is whole. A part that does not follow the ones before it ends its row."""
        key = (part.chat_id, part.session_id, part.idx)
        before = self._rows.pop(key, b"") if part.offset else b""
        row = before + part.data
        if len(before) != part.offset or len(row) > part.size:
            return None
        if len(row) == part.size:
            return row
        self._rows.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > MAX_GATHERED:
            del self._rows[next(iter(self._rows))]
        return None


class Resender:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, reader: EnvelopeReader, rows: RowReader, healer: Healer) -> None:
        self._me = me
        self._rows = rows
        self._healer = healer
        reader.register(REQUEST, self._asked)
        self._gathered = Gathered()
        reader.register(RESEND, self._came)
        reader.register(PART, self._part_came)

    def questions(self, tx: Tx) -> list[Letter]:
        """Ask the authors' devices for what is due."""
        now = self._me.clock.now_ms()
        letters: list[Letter] = []
        for hole in tx.holes.due(now):
            author, chat = list_of(tx, hole.uid), tx.chats.get(hole.chat_id)
            if author is None or author.find(hole.did) is None or hole.step >= len(DELAYS_MS):
                tx.holes.remove(hole)  # nobody has it any more
                continue
            tx.holes.put(replace(hole, step=hole.step + 1, next_ms=now + DELAYS_MS[hole.step]))
            if chat is not None and (chat.accepted or hole.uid == self._me.uid):
                request = ResendRequest(chat_id=hole.chat_id, session_id=hole.session_id, idx=hole.idx)
                letters.append(Letter(hole.uid, hole.did, REQUEST, encode(request)))
        return letters

    def _asked(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """Give an own row again to who may have its key, as long as the message still stands here."""
        request = decode_record(ResendRequest, letter.c)
        chat_id, session_id = ChatId(request.chat_id), SessionId(request.session_id)
        now = self._me.clock.now_ms()
        if tx.chats.get(chat_id) is None:
            return
        kept = tx.sent_rows.get(chat_id, session_id, request.idx, now - KEPT_MS)
        if kept is None:
            return
        if kept.placed and not tx.messages.is_written(chat_id, kept.mid, self._me.uid):
            return
        if not self._healer.may_have(tx, uid, did, chat_id, session_id, request.idx):
            return
        letters = [Letter(uid, did, kind, encode(record)) for kind, record in _given(request, kept.outer)]
        if all(tx.requests.may_answer(did, now, per_hour=PER_HOUR, kind=b"resend") for _ in letters):
            out.answers += letters

    def _came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """Only from the device that has written it, only what is missing, and only if it verifies like any row."""
        resend = decode_record(Resend, letter.c)
        self._take(tx, out, (uid, did), ChatId(resend.chat_id), resend.row)

    def _part_came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        part = decode_record(ResendPart, letter.c)
        chat_id = ChatId(part.chat_id)
        hole = tx.holes.get(chat_id, SessionId(part.session_id), part.idx)
        if hole is None or (hole.uid, hole.did) != (uid, did):
            _log.info("a part of a row that nobody asked for is not taken")
            return
        row = self._gathered.add(part)
        if row is not None:
            self._take(tx, out, (uid, did), chat_id, row)

    def _take(self, tx: Tx, out: Mail, by: tuple[Uid, Did], chat_id: ChatId, body: bytes) -> None:
        try:
            outer = decode_outer(body)
        except NewerVersionError as error:
            raise MalformedError("a row of a newer version") from error
        if outer.chat_id != chat_id or tx.chats.get(chat_id) is None:
            raise MalformedError("a row of another chat")
        hole = tx.holes.get(chat_id, SessionId(outer.session_id), outer.idx)
        if hole is None or (hole.uid, hole.did) != by:
            _log.info("a row that nobody asked for is not taken")
            return
        row = RawRow(chat_id, hole.seq, int(EventKind.MESSAGE), hole.server_ms, body)
        if self._rows.resent(tx, out, row, hole.order):
            tx.meta.count(RESENT)
            tx.holes.remove(hole)


def _given(request: ResendRequest, row: bytes) -> Iterator[tuple[str, Record]]:
    """The row in one letter, or in the parts of a long one."""
    if len(row) <= RESEND_MAX:
        yield RESEND, Resend(chat_id=request.chat_id, row=row)
        return
    for offset in range(0, len(row), RESEND_MAX):
        yield (
            PART,
            ResendPart(
                chat_id=request.chat_id,
                session_id=request.session_id,
                idx=request.idx,
                size=len(row),
                offset=offset,
                data=row[offset : offset + RESEND_MAX],
            ),
        )
