"""Received to-device envelopes: each ends as applied, parked or failed, in the transaction that stores its effect."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mensajeria.client.engine.acks import read_by_member, read_by_peer, seen_by_other
from mensajeria.client.engine.letters import ACK, KEY_REQUEST, READ, ROOM_KEY, Letter
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.engine.privacy import privacy_of
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import EnvelopeOutcome, Inbound, InboundKey, ParkedEnvelope
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.sender import BindingError, decode_binding, decode_room_key, verify_binding
from mensajeria.crypto.todevice import EnvelopeCause, EnvelopeError, open_inner, open_outer
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.devices import NewerListNeededError
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.frames import Envelope
from mensajeria.protocol.ids import ChatId, Did, Mid, SessionId, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import (
    KeyRequest,
    ReadReceipts,
    RoomKey,
    SessionBinding,
    Signed,
    ToDevice,
    ToDeviceOuter,
)

_log = logging.getLogger(__name__)
SOON_MS: Final = 1_000
HEALED: Final = "healed:"
"""Counters of the meta table: rows that could be shown late, by who brought their key."""
UNWEDGED: Final = "unwedged"
"""Counter of the meta table: pairwise sessions that were started anew because the old ones were out of step."""
_FORGED: Final = frozenset({EnvelopeCause.WRONG_KEY, EnvelopeCause.WRONG_SENDER, EnvelopeCause.WRONG_RECIPIENT})
_BROKEN: Final = frozenset({EnvelopeCause.BAD_CIPHERTEXT, EnvelopeCause.NO_SESSION})
"""The pairwise session is out of step: a new one heals it."""


@dataclass(slots=True)
class Mail(Outcome):
    """An outcome, and which devices should be written to because of what they sent."""

    acks: list[tuple[Uid, Did]] = field(default_factory=list)
    broken: list[tuple[Uid, Did]] = field(default_factory=list)
    asked: list[tuple[Uid, Did, KeyRequest]] = field(default_factory=list)
    answers: list[Letter] = field(default_factory=list)


class _NeedsListError(Exception):
    """A signature names a list version that is not here yet."""

    def __init__(self, uid: Uid) -> None:
        super().__init__(uid.hex())
        self.uid = uid


Handler = Callable[[Tx, Mail, Uid, Did, ToDevice], None]
"""Acts on the content of a verified envelope from the device (uid, did), in the transaction that decides it.

May raise MalformedError or BindingError: then nothing of the content is used and the person is warned. It must not have
written anything before it raises.
"""
ProfileKey = Callable[[Tx, Outcome, ChatId, Uid, Secret], None]


def _asked(_tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
    out.asked.append((uid, did, decode_record(KeyRequest, letter.c)))


class EnvelopeReader:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, me: Me, rows: RowReader) -> None:
        self._me = me
        self._rows = rows
        self.profile_key: ProfileKey = lambda *_: None
        """Told of the key of a group's name that came along with a sender key, and who brought it."""
        self._handlers: dict[str, Handler] = {
            ROOM_KEY: lambda tx, out, uid, did, letter: self._room_key(tx, out, decode_room_key(letter.c), (uid, did)),
            READ: lambda tx, out, uid, _did, letter: self._read(tx, out, uid, decode_record(ReadReceipts, letter.c)),
            KEY_REQUEST: _asked,
            ACK: lambda *_: None,
        }

    def register(self, type_: str, handler: Handler) -> None:
        """Who acts on envelopes of a type: once, when the client is put together. See `Handler`."""
        assert type_ not in self._handlers, type_
        self._handlers[type_] = handler

    def receive(self, tx: Tx, out: Mail, envelopes: Sequence[Envelope]) -> None:
        """Decide envelopes from the mailbox. Afterwards every one of them may be acked."""
        device = self._me.device(tx)
        for envelope in envelopes:
            blob = bytes(envelope.blob)
            blob_hash = hashlib.sha256(blob).digest()
            if tx.envelopes.outcome(blob_hash) is None:
                self._first_step(tx, out, device, blob_hash, envelope.prekey_id, blob)

    def retry(self, tx: Tx, out: Mail, uid: Uid) -> None:
        """A new list of `uid` is here: open what was parked for it."""
        device = self._me.device(tx)
        for parked in tx.envelopes.parked(uid):
            outer = decode_array(ToDeviceOuter, parked.outer, max_size=2 * limits.MAX_ENVELOPE)
            self._second_step(tx, out, device, parked.hash, outer, retried=True)

    def _first_step(self, tx: Tx, out: Mail, device: DeviceKeys, blob_hash: bytes, prekey_id: int, blob: bytes) -> None:
        try:
            outer = open_outer(device, prekey_id, blob)
        except EnvelopeError as error:
            self._failed(tx, out, blob_hash, error.cause, None)
            return
        self._second_step(tx, out, device, blob_hash, outer, retried=False)

    def _second_step(
        self, tx: Tx, out: Mail, device: DeviceKeys, blob_hash: bytes, outer: ToDeviceOuter, *, retried: bool
    ) -> None:
        """Decrypt and apply; without the sender's list, or a new enough one, park. State changes only on success."""
        now = self._me.clock.now_ms()
        uid, did = Uid(outer.uid), Did(outer.did)
        sender, row = list_of(tx, uid), tx.olm.get(did)
        if sender is None:
            self._park(tx, out, blob_hash, uid, outer)
            return
        try:
            opened = open_inner(
                device,
                outer,
                sender=sender,
                me=self._me.address(tx),
                peer=None if row is None else OlmPeer.load(row.state),
                now_ms=now,
            )
        except EnvelopeError as error:
            if error.cause.may_open_later and not retried:
                self._park(tx, out, blob_hash, uid, outer)
            else:
                self._failed(tx, out, blob_hash, error.cause, (uid, did))
            return
        tx.olm.put(did, uid, opened.peer.dump())
        if opened.device_changed:
            tx.own.put_device(device.dump())
        tx.envelopes.decide(blob_hash, EnvelopeOutcome.APPLIED, now)
        if tx.envelopes.mid_is_new(uid, did, Mid(opened.message.mid), now):
            self._apply(tx, out, uid, did, opened.message)
        if opened.peer.owes_ack and self._may_answer(tx, uid):
            out.acks.append((uid, did))

    def _park(self, tx: Tx, out: Mail, blob_hash: bytes, uid: Uid, outer: ToDeviceOuter) -> None:
        now = self._me.clock.now_ms()
        if tx.envelopes.park(ParkedEnvelope(blob_hash, uid, encode(outer), now)):
            out.wanted_lists.add(uid)
        else:
            tx.envelopes.decide(blob_hash, EnvelopeOutcome.FAILED, now)

    def _failed(
        self, tx: Tx, out: Mail, blob_hash: bytes, cause: EnvelopeCause, sender: tuple[Uid, Did] | None
    ) -> None:
        now = self._me.clock.now_ms()
        tx.envelopes.decide(blob_hash, EnvelopeOutcome.FAILED, now)
        _log.warning("envelope refused: %s", cause.value)
        if cause in _FORGED:
            out.warn(tx, "envelope_forged", now, reason=cause.value)
        elif cause in _BROKEN and sender is not None and self._may_answer(tx, sender[0]):
            row = tx.olm.get(sender[1])
            if row is None or now - row.unwedged_ms >= limits.UNWEDGE_EVERY_MS:
                out.broken.append(sender)

    def _may_answer(self, tx: Tx, uid: Uid) -> bool:
        """Nothing leaves towards a person before their request was accepted."""
        if uid == self._me.uid:
            return True
        chats = (tx.chats.get(chat_id) for chat_id in tx.chats.with_member(uid))
        return any(chat is not None and chat.accepted for chat in chats)

    # --- what they say ---

    def _apply(self, tx: Tx, out: Mail, uid: Uid, did: Did, message: ToDevice) -> None:
        handler = self._handlers.get(message.t)
        if handler is None:
            _log.info("to-device type of a newer version ignored")
            return
        try:
            handler(tx, out, uid, did, message)
        except (MalformedError, BindingError) as error:
            _log.warning("content of an envelope refused: %s", error)
            out.warn(tx, "key_refused", self._me.clock.now_ms())

    def open_early(self, tx: Tx, out: Outcome, chat_id: ChatId) -> None:
        """A group is here: use the keys that had come before it."""
        for carrier, content in tx.groups.take_early(chat_id):
            try:
                self._room_key(tx, out, decode_room_key(content), carrier)
            except (MalformedError, BindingError) as error:
                _log.warning("a key that came early is refused: %s", error)

    def _room_key(self, tx: Tx, out: Outcome, room_key: RoomKey, carrier: tuple[Uid, Did]) -> None:
        binding = self.binding_of(tx, out, room_key.skb)
        if binding is not None and self._is_early(tx, binding):
            tx.groups.put_early(ChatId(binding.chat_id), carrier, encode(room_key), self._me.clock.now_ms())
        elif binding is not None:
            self.keep(tx, out, binding, InboundSession.from_room_key(room_key, binding), carrier)
            if room_key.gpk:
                self.profile_key(tx, out, ChatId(binding.chat_id), carrier[0], Secret(room_key.gpk))

    def binding_of(self, tx: Tx, out: Outcome, skb: Signed) -> SessionBinding | None:
        """Whoever carried it: the binding's signature says whose session it is. Raises BindingError, MalformedError.

        None when the author's list here is too old to judge it: the list is fetched and the key asked for once more.
        """
        claimed = decode_binding(skb.body)
        author = list_of(tx, claimed.uid)
        if author is None:
            raise BindingError("of a stranger")
        try:
            return verify_binding(skb, author=author)
        except NewerListNeededError:
            out.wanted_lists.add(Uid(claimed.uid))
            tx.requests.hurry(ChatId(claimed.chat_id), SessionId(claimed.session_id), self._me.clock.now_ms() + SOON_MS)
            return None

    def keep(
        self, tx: Tx, out: Outcome, binding: SessionBinding, session: InboundSession, carrier: tuple[Uid, Did] | None
    ) -> None:
        """Store a session with its verified binding and open what waited for it.

        `carrier`: the device that brought it, None for the own backup; for the counters only.
        """
        chat_id, session_id = ChatId(binding.chat_id), SessionId(binding.session_id)
        self._ensure_chat(tx, out, chat_id, Uid(binding.uid))
        key = InboundKey(chat_id, session_id, Uid(binding.uid), Did(binding.did))
        known = tx.inbound.get(key)
        next_idx = session.first_index
        if known is not None:
            session = InboundSession.load(known.state).merge(session)
            next_idx = known.next_idx
        now = self._me.clock.now_ms()
        tx.inbound.put(Inbound(key, session.dump(), now if known is None else known.created_ms, next_idx))
        asked = bool(tx.requests.open(chat_id, session_id))
        opened = self._rows.reopen(tx, out, chat_id, session_id)
        if asked and opened:
            tx.meta.count(HEALED + self._source(binding, carrier), opened)

    def _source(self, binding: SessionBinding, carrier: tuple[Uid, Did] | None) -> str:
        if carrier is None:
            return "backup"
        if carrier == (binding.uid, binding.did):
            return "author"
        return "own_device" if carrier[0] == self._me.uid else "member"

    def _is_early(self, tx: Tx, binding: SessionBinding) -> bool:
        """The key of a group that is not announced yet, or of none at all: nothing tells them apart."""
        chat_id = ChatId(binding.chat_id)
        direct = direct_chat_id(self._me.server_id, self._me.uid, binding.uid)
        return chat_id != direct and tx.chats.get(chat_id) is None

    def _ensure_chat(self, tx: Tx, out: Outcome, chat_id: ChatId, author: Uid) -> None:
        """The key may come before the chat was announced; its id says whose chat it is."""
        if tx.chats.get(chat_id) is not None:
            return
        me = self._me.uid
        if chat_id != direct_chat_id(self._me.server_id, me, author):
            raise BindingError("of an unknown chat")
        own = author == me
        tx.chats.ensure_direct(chat_id, author, accepted=own, note_to_self=own, now_ms=self._me.clock.now_ms())
        out.touched.add(chat_id)

    def _read(self, tx: Tx, out: Mail, uid: Uid, receipts: ReadReceipts) -> None:
        """From the other member: my messages were read. From an own device: I have read theirs there."""
        for marker in receipts.markers:
            chat = tx.chats.get(ChatId(marker.chat_id))
            if chat is None:
                continue
            seq = min(marker.seq, max(chat.last_seq, chat.cursor))
            if uid == self._me.uid:
                if tx.chats.mark_read(chat.chat_id, seq):
                    out.touched.add(chat.chat_id)
            elif not privacy_of(
                tx
            ).read_receipts:  # who does not tell is not told; the key's arrival counts all the same
                if uid == chat.peer or (chat.is_group and tx.groups.set_read(chat.chat_id, uid, seq)):
                    seen_by_other(tx, chat.chat_id, seq)
            elif chat.is_group:
                read_by_member(tx, out, self._me, chat.chat_id, uid, seq)
            elif uid == chat.peer:
                read_by_peer(tx, out, chat.chat_id, seq)
