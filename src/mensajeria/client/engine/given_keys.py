"""Keys of sessions from before one joined: taken only from the device whose message has opened a window."""

from __future__ import annotations

import logging

from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.letters import HISTORY_KEYS
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.history import Window
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.sender import BindingError
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records import SessionBinding, ToDevice
from mensajeria.protocol.records_history import HistoryKeys

_log = logging.getLogger(__name__)


class GivenKeys:
    """Keys of earlier sessions on their way in. Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, reader: EnvelopeReader) -> None:
        self._me = me
        self._reader = reader
        reader.register(HISTORY_KEYS, self._came)

    def open_early(self, tx: Tx, out: Outcome, window: Window) -> None:
        """The window is known: use what had come before it."""
        for content in tx.windows.take_early(window):
            try:
                self._take(tx, out, window, decode_record(HistoryKeys, content))
            except (MalformedError, BindingError) as error:
                _log.warning("keys that came early are refused: %s", error)

    def _came(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """From who has opened a window they are used; from anybody else they are kept until one is opened, or lost."""
        given = decode_record(HistoryKeys, letter.c)
        chat_id = ChatId(given.chat_id)
        window = None if tx.chats.get(chat_id) is None else tx.windows.by(chat_id, (uid, did))
        if window is None:
            tx.windows.put_early(chat_id, (uid, did), letter.c)
        else:
            self._take(tx, out, window, given)

    def _take(self, tx: Tx, out: Outcome, window: Window, given: HistoryKeys) -> None:
        """Each binding is proven by its author's list, before any of them is stored."""
        proven: list[tuple[SessionBinding, InboundSession]] = []
        for key in given.keys:
            binding = self._reader.binding_of(tx, out, key.skb)
            if binding is None or not self._is_expected(tx, window, binding):
                continue
            session = InboundSession.from_export(key.export, binding, key.skb)
            if session.first_index != key.first_index:
                raise BindingError("another first index")
            proven.append((binding, session))
        for binding, session in proven:
            self._reader.keep(tx, out, binding, session, (window.uid, window.did))

    @staticmethod
    def _is_expected(tx: Tx, window: Window, binding: SessionBinding) -> bool:
        """Of this chat; and once all rows are here, only what one of them waits for."""
        if binding.chat_id != window.chat_id:
            return False
        return not window.is_done or bool(tx.requests.open(window.chat_id, SessionId(binding.session_id)))
