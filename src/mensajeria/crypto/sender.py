"""Sender sessions: one Megolm ratchet per (chat, device), bound by a signed record (docs/protocol/e2ee.md §6, §9).

The binding (SKB) is signed by the author's device, so whoever delivers a ratchet key cannot change whose it is.
"""

from __future__ import annotations

import os

import vodozemac

from mensajeria.crypto.device import PICKLE_KEY_BYTES, DeviceKeys, StateError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import UnknownDeviceError, VerifiedList, signer_at
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import U32, Bytes32
from mensajeria.protocol.membership import ChatKind, MembershipState
from mensajeria.protocol.records import MembershipHead, Record, RoomKey, SessionBinding, Signed
from mensajeria.protocol.signing import BadSignatureError, Ctx, from_olm_base64, verify_ed25519


class BindingError(ValueError):
    """The session is not bound to that author and chat: it must not be used."""


class _PickledOutbound(Record, frozen=True, kw_only=True):
    v: int = 1
    binding: Signed
    pickle_key: Bytes32
    pickle: str
    timer_s: U32


class OutboundSession:
    """This device's own ratchet in one chat. Encrypting changes it: dump and store before the bytes leave."""

    def __init__(self, group: vodozemac.GroupSession, binding: SessionBinding, signed: Signed, timer_s: int) -> None:
        self._group = group
        self.binding = binding
        self.signed_binding = signed
        self.timer_s = timer_s

    @classmethod
    def create(
        cls, device: DeviceKeys, *, chat_id: bytes, head: MembershipHead, dl_ver: int, now_ms: int, timer_s: int = 0
    ) -> OutboundSession:
        """A new ratchet, bound to the chat, this device and the membership it was made under."""
        group = vodozemac.GroupSession()
        binding = SessionBinding(
            chat_id=chat_id,
            uid=device.uid,
            did=device.did,
            session_id=from_olm_base64(group.session_id),
            mhead=head,
            dl_ver=dl_ver,
            created=now_ms,
        )
        return cls(group, binding, device.sign(Ctx.MEGOLM_BIND, encode(binding)), timer_s)

    @property
    def session_id(self) -> bytes:
        """32 bytes: the ratchet's own public signing key."""
        return self.binding.session_id

    @property
    def index(self) -> int:
        """Index of the next message."""
        return self._group.message_index

    def room_key(self, gpk: bytes = b"") -> bytes:
        """Content of the to-device type "room_key": opens messages from the current index on, none before."""
        session_key = from_olm_base64(self._group.session_key.to_base64())
        return encode(RoomKey(skb=self.signed_binding, session_key=session_key, first_index=self.index, gpk=gpk))

    def encrypt(self, plaintext: bytes) -> bytes:
        """The next Megolm message. Only `crypto.message` calls this."""
        return self._group.encrypt(plaintext).to_bytes()

    def dump(self) -> Secret:
        """Everything, to be stored inside the encrypted database."""
        key = os.urandom(PICKLE_KEY_BYTES)
        state = _PickledOutbound(
            binding=self.signed_binding, pickle_key=key, pickle=self._group.pickle(key), timer_s=self.timer_s
        )
        return Secret(encode(state))

    @classmethod
    def load(cls, state: Secret) -> OutboundSession:
        """The inverse of `dump`; raises StateError."""
        try:
            record = decode_record(_PickledOutbound, state.reveal())
            binding = decode_record(SessionBinding, record.binding.body)
            group = vodozemac.GroupSession.from_pickle(record.pickle, record.pickle_key)
        except (MalformedError, ValueError) as error:
            raise StateError("damaged sender session") from error
        return cls(group, binding, record.binding, record.timer_s)

    def __repr__(self) -> str:
        return f"OutboundSession({self.session_id.hex()}, ***)"


def must_rotate(
    session: OutboundSession,
    *,
    state: MembershipState,
    now_ms: int,
    devices: int,
    own_restore: bool = False,
    last_key_fetched: bool = True,
) -> bool:
    """Must the next message start a new session?

    Args:
        session: the one in use.
        state: the chat's membership now.
        now_ms: time.
        devices: how many devices get the key.
        own_restore: this device's state was restored since the session was made.
        last_key_fetched: some recipient has fetched the session's key. Until then age and count are no reason: nobody
            could read more with a newer key, and mailboxes would fill.
    """
    if own_restore or session.binding.mhead.seq < state.epoch or session.timer_s != state.timer_s:
        return True
    messages, age_ms = _limits(state.kind, devices)
    used_up = session.index >= messages or now_ms - session.binding.created >= age_ms
    return used_up and last_key_fetched


def _limits(kind: ChatKind, devices: int) -> tuple[int, int]:
    if kind is ChatKind.DIRECT:
        return limits.SESSION_DIRECT
    return limits.SESSION_SMALL if devices <= limits.SESSION_SMALL_DEVICES else limits.SESSION_LARGE


def decode_room_key(content: bytes) -> RoomKey:
    """Raises MalformedError for anything that is not the content of a "room_key"."""
    return decode_record(RoomKey, content)


def decode_binding(body: bytes) -> SessionBinding:
    """Who claims a session, before anything is verified: to know whose device list is needed. Raises MalformedError."""
    return decode_record(SessionBinding, body)


def verify_binding(signed: Signed, *, author: VerifiedList) -> SessionBinding:
    """The binding, if the device it names signed it while it stood in its user's list.

    Raises:
        BindingError: it did not.
        NewerListNeededError: it names a newer list: fetch it.
    """
    try:
        binding = decode_binding(signed.body)
    except MalformedError as error:
        raise BindingError(str(error)) from error
    verify_decoded(binding, signed, author=author)
    return binding


def verify_decoded(binding: SessionBinding, signed: Signed, *, author: VerifiedList) -> None:
    """`verify_binding` for whoever has decoded `signed.body` already, which `binding` must be."""
    try:
        if binding.uid != author.uid:
            raise BindingError("of another user")
        device = signer_at(author, binding.did, binding.dl_ver)
        verify_ed25519(device.ed25519, Ctx.MEGOLM_BIND, signed.body, signed.sig)
    except (UnknownDeviceError, BadSignatureError) as error:
        raise BindingError(str(error)) from error
