"""Rows that the server has altered or lost: asked of the device that wrote them, which has kept them as they were sent.

The row that comes back is the very ciphertext of that index. It is opened like any row and takes the place that told of
the loss; what does not verify changes nothing (docs/decisions/0020-a-lost-row-comes-back-from-its-author.md).
"""

from __future__ import annotations

import logging
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
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_healing import RESEND_MAX, Resend, ResendRequest

_log = logging.getLogger(__name__)
REQUEST: Final = "resend_request"
RESEND: Final = "resend"
RESENT: Final = "healed:resend"
"""Counter of the meta table: lost rows that their author's device has brought back."""
DELAYS_MS: Final = (30_000, 300_000, 3_600_000, *([24 * 3600 * 1000] * 7))
"""Between one question and the next; after the last one the place stays as it is."""
KEPT_MS: Final = 30 * 24 * 3600 * 1000
PER_HOUR: Final = 100


class Resender:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, reader: EnvelopeReader, rows: RowReader, healer: Healer) -> None:
        self._me = me
        self._rows = rows
        self._healer = healer
        reader.register(REQUEST, self._asked)
        reader.register(RESEND, self._came)

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
        if kept is None or len(kept.outer) > RESEND_MAX:
            return
        if kept.placed and not tx.messages.is_written(chat_id, kept.mid, self._me.uid):
            return
        if not self._healer.may_have(tx, uid, did, chat_id, session_id, request.idx):
            return
        if tx.requests.may_answer(did, now, per_hour=PER_HOUR, kind=b"resend"):
            out.answers.append(Letter(uid, did, RESEND, encode(Resend(chat_id=chat_id, row=kept.outer))))

    def _came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """Only from the device that has written it, only what is missing, and only if it verifies like any row."""
        resend = decode_record(Resend, letter.c)
        try:
            outer = decode_outer(resend.row)
        except NewerVersionError as error:
            raise MalformedError("a row of a newer version") from error
        chat_id = ChatId(resend.chat_id)
        if outer.chat_id != chat_id or tx.chats.get(chat_id) is None:
            raise MalformedError("a row of another chat")
        hole = tx.holes.get(chat_id, SessionId(outer.session_id), outer.idx)
        if hole is None or (hole.uid, hole.did) != (uid, did):
            _log.info("a row that nobody asked for is not taken")
            return
        row = RawRow(chat_id, hole.seq, int(EventKind.MESSAGE), hole.server_ms, resend.row)
        if self._rows.resent(tx, out, row, hole.order):
            tx.meta.count(RESENT)
            tx.holes.remove(hole)
