"""The bodies that are signed or sealed, exactly as `docs/protocol/e2ee.md` names them.

Every record is a msgpack map (canonical, see `encoding`), carried as the exact bytes that were signed;
`decoding.decode_record` is the only way in.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from mensajeria.protocol import limits
from mensajeria.protocol.ids import U8, U32, U63, Bytes16, Bytes32

SUITE_IDENTITY: Final = 1
"""Ed25519 + ML-DSA-65, both must verify."""
SUITE_TODEVICE: Final = 1
"""HPKE(MLKEM768_X25519, HKDF-SHA256, ChaCha20-Poly1305) around Olm."""
SUITE_GROUP: Final = 1
"""Megolm with signed session bindings."""
SUITE_DIRECT_CHAT: Final = b"direct/1"

Handle = Annotated[str, msgspec.Meta(pattern=limits.HANDLE_EXACT)]
Sig = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
HybridSig = Annotated[bytes, msgspec.Meta(min_length=3373, max_length=3373)]
MlDsaKey = Annotated[bytes, msgspec.Meta(min_length=1952, max_length=1952)]
PqPrekeyBytes = Annotated[bytes, msgspec.Meta(min_length=1216, max_length=1216)]
RecordBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=4096)]
Blob = Annotated[bytes, msgspec.Meta(max_length=limits.MAX_SIGNED_BODY)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A canonical msgpack map."""


class Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Exact body bytes and the signature over them; which context and key depends on where it stands."""

    body: Blob
    sig: Annotated[bytes, msgspec.Meta(min_length=64, max_length=3373)]


# --- identities and devices (e2ee §4) ---


class IdentityRecord(Record, frozen=True, kw_only=True):
    """A user's public identity. idfp = H("identity", encoded record)."""

    v: int = 1
    suite: int = SUITE_IDENTITY
    uid: Bytes16
    ed25519: Bytes32
    mldsa: MlDsaKey
    recovery: Bytes32
    """Ed25519 public half of the recovery authority RA."""


class ListedDevice(Record, frozen=True, kw_only=True):
    """A device in a list; `pop` is its own signature (ctx device) over `devices.pop_body`."""

    did: Bytes16
    ed25519: Bytes32
    curve25519: Bytes32
    from_ver: U63
    """The list version that named it first: the newest list alone says which devices stood in every earlier one."""
    created: U63
    pop: Sig


class FormerDevice(Record, frozen=True, kw_only=True):
    """A device that was listed from version `from_ver` up to and including `to_ver`."""

    did: Bytes16
    ed25519: Bytes32
    curve25519: Bytes32
    from_ver: U63
    to_ver: U63


class DeviceList(Record, frozen=True, kw_only=True):
    """Signed by the identity (ctx device-list); prev = H("device-list", previous body), zeros for ver 1."""

    v: int = 1
    uid: Bytes16
    handle: Handle
    idfp: Bytes32
    ver: U63
    prev: Bytes32
    ts: U63
    devices: Annotated[tuple[ListedDevice, ...], msgspec.Meta(max_length=limits.MAX_DEVICES)]
    former: Annotated[tuple[FormerDevice, ...], msgspec.Meta(max_length=limits.MAX_FORMER_DEVICES)] = ()
    backup_ver: U63


class Succession(Record, frozen=True, kw_only=True):
    """Moves a user to a new identity; signed by the old identity and by RA (ctx identity-succession)."""

    v: int = 1
    uid: Bytes16
    old_idfp: Bytes32
    new_record: RecordBytes
    ts: U63


class SuccessionProof(Record, frozen=True, kw_only=True):
    """A succession with everything that is needed to judge it, as `MemberEvent.succession` carries it."""

    old_record: RecordBytes
    body: Annotated[bytes, msgspec.Meta(min_length=1, max_length=4096)]
    """Encoded Succession."""
    sig_identity: HybridSig
    """By the old identity."""
    sig_recovery: Sig
    """By the recovery authority that the old record names: the password alone cannot succeed."""


class OneTimeKey(Record, frozen=True, kw_only=True):
    """Signed by the device: ctx otk, or ctx fallback for the fallback key."""

    uid: Bytes16
    did: Bytes16
    key: Bytes32


class PqPrekey(Record, frozen=True, kw_only=True):
    """The device's hybrid HPKE key (ML-KEM-768 1184 bytes ‖ X25519 32 bytes), signed by it (ctx pq-prekey)."""

    uid: Bytes16
    did: Bytes16
    prekey_id: U32
    key: PqPrekeyBytes
    created: U63
    expires: U63


class DeviceLogin(Record, frozen=True, kw_only=True):
    """Signed by the device (ctx device-login) to take a login on one OPAQUE transcript as itself."""

    server_id: Bytes16
    uid: Bytes16
    did: Bytes16
    transcript: Bytes32
    """H("opaque", ke1, ke2, ke3)."""


class AccountWrap(Record, frozen=True, kw_only=True):
    """The account root sealed under the password (method "opaque") or the recovery code (method "recovery").

    AD = H("account-wrap", uid, root_ver u64, method); key commitment first, see crypto.aead.
    """

    v: int = 1
    uid: Bytes16
    root_ver: U63
    method: str
    salt: Bytes16
    commit: Bytes32
    ct: Annotated[bytes, msgspec.Meta(min_length=48, max_length=48)]


# --- to-device (e2ee §5) ---


class DeviceAddress(Record, frozen=True, kw_only=True):
    """Where an envelope goes to."""

    uid: Bytes16
    did: Bytes16
    idfp: Bytes32


class SenderAddress(Record, frozen=True, kw_only=True):
    """Where an envelope comes from, with the list version the sender stands in."""

    uid: Bytes16
    did: Bytes16
    idfp: Bytes32
    dl_ver: U63


class ToDevice(Record, frozen=True, kw_only=True):
    """What Olm encrypts (padded). `c` is the canonical body of type `t`."""

    v: int = 1
    t: Annotated[str, msgspec.Meta(max_length=32)]
    sender: SenderAddress
    recipient: DeviceAddress
    mid: Bytes16
    ts: U63
    c: Blob


class ToDeviceOuter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What HPKE seals; the server never sees it."""

    suite: U8
    kind: U8
    """0 = Olm pre-key message, 1 = Olm message."""
    uid: Bytes16
    did: Bytes16
    curve25519: Bytes32
    olm: Annotated[bytes, msgspec.Meta(max_length=limits.MAX_ENVELOPE)]


class MembershipHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The membership state an author wrote under."""

    seq: U63
    hash: Bytes32
    state: Bytes32


class SessionBinding(Record, frozen=True, kw_only=True):
    """SKB: binds a Megolm session to its chat and author; signed by the author's device (ctx megolm-bind)."""

    v: int = 1
    suite: int = SUITE_GROUP
    chat_id: Bytes32
    uid: Bytes16
    did: Bytes16
    session_id: Bytes32
    mhead: MembershipHead
    dl_ver: U63
    created: U63


class RoomKey(Record, frozen=True, kw_only=True):
    """To-device type "room_key": a sender session for a device. `skb` is signed, so any carrier is safe."""

    skb: Signed
    session_key: Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]
    first_index: U32
    gpk: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class ReadMarker(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The reader has seen everything of the addressee in the chat up to the row `seq`."""

    chat_id: Bytes32
    seq: U63


class ReadReceipts(Record, frozen=True, kw_only=True):
    """To-device type "read": batched read markers, to authors and to own devices."""

    markers: Annotated[tuple[ReadMarker, ...], msgspec.Meta(min_length=1, max_length=64)]


class OlmAck(Record, frozen=True, kw_only=True):
    """To-device type "ack": empty; its only effect is to move the ratchet."""


class KeyRequest(Record, frozen=True, kw_only=True):
    """To-device type "key_request": asks an own device or the author's device for a session."""

    chat_id: Bytes32
    session_id: Bytes32
    uid: Bytes16
    did: Bytes16
    index: U32


# --- messages (e2ee §7) ---


class MessageOuter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A message as the server stores it: the body of a `send` frame and of a message event, byte for byte."""

    v: U8
    suite: U8
    chat_id: Bytes32
    epoch: U63
    session_id: Bytes32
    idx: U32
    mid: Bytes16
    ct: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_CIPHERTEXT)]
    del_hash: Bytes32
    ttl_bucket: U8
    """0 = keep; else the server may erase after 2^(ttl_bucket-1) hours."""


class PreviousSession(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The author's previous session in this chat and the last index the server acked in it."""

    session_id: Bytes32
    idx: U32


class VoidIndex(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A ciphertext that was made and will never be stored."""

    session_id: Bytes32
    idx: U32


class LogHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Transparency gossip: the size and root the author has verified."""

    size: U63
    root: Bytes32


class Reference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Another message, by author and mid."""

    uid: Bytes16
    mid: Bytes16


class MessageInner(Record, frozen=True, kw_only=True):
    """What Megolm encrypts (padded). `body` is that of type `t`; an unknown `t` is kept and shown as such."""

    v: int = 1
    t: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    chat_id: Bytes32
    uid: Bytes16
    did: Bytes16
    session_id: Bytes32
    mid: Bytes16
    ts: U63
    mhead: MembershipHead
    prev: PreviousSession | None = None
    void: Annotated[tuple[VoidIndex, ...], msgspec.Meta(max_length=64)] = ()
    kt: LogHead | None = None
    expire_s: U32 = 0
    refs: Annotated[tuple[Reference, ...], msgspec.Meta(max_length=16)] = ()
    body: Annotated[bytes, msgspec.Meta(max_length=limits.MAX_CIPHERTEXT)]


class TextBody(Record, frozen=True, kw_only=True):
    """Message type "text"."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TEXT_MAX_BYTES)]


# --- membership (e2ee §8) ---


class Member(Record, frozen=True, kw_only=True):
    """A member as an event names it: keys go only to devices listed by this identity."""

    uid: Bytes16
    idfp: Bytes32
    role: Annotated[str, msgspec.Meta(pattern=r"^(owner|admin|member)\Z")]


class MemberEvent(Record, frozen=True, kw_only=True):
    """One event of a chat's membership chain, signed by a device of `by_uid` (ctx member-event).

    `seq` counts membership events (1, 2, ...), `prev` is the hash of the last valid one: H("member-event", its body).
    Which of the optional fields an event carries is fixed by `type`, see `membership`. A create event has seq 1, and
    zeros as chat_id and prev: the group's id is the hash of its body.
    """

    v: int = 1
    chat_id: Bytes32
    seq: U63
    prev: Bytes32
    by_uid: Bytes16
    by_did: Bytes16
    dl_ver: U63
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    ts: U63
    members: Annotated[tuple[Member, ...], msgspec.Meta(max_length=limits.MAX_EVENT_MEMBERS)] = ()
    who: Annotated[bytes, msgspec.Meta(max_length=16)] = b""
    role: Annotated[str, msgspec.Meta(max_length=6)] = ""
    idfp: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    succession: Blob = b""
    timer_s: U32 = 0
    profile_ver: U63 = 0
    profile: Annotated[bytes, msgspec.Meta(max_length=16 << 10)] = b""
    nonce: Annotated[bytes, msgspec.Meta(max_length=16)] = b""
    supersedes: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class MemberRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of the canonical table whose hash is `MembershipHead.state`: sorted by uid.

    `idfp` is empty in a direct chat, whose id fixes its members but not their identities, until an identity event.
    """

    uid: Bytes16
    idfp: bytes
    role: str
    dl_floor: U63


# --- transparency (e2ee §12) ---


class TransparencyLeaf(Record, frozen=True, kw_only=True):
    """A leaf of the key log; its hash is the RFC 6962 leaf hash of the encoded record."""

    v: int = 1
    label: Bytes32
    ver: U63
    value_hash: Bytes32
    prev_idx: Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)]
    """Index of the label's previous leaf, -1 = none."""
    ts: U63


class TreeHead(Record, frozen=True, kw_only=True):
    """Signed by the log key (ctx sth)."""

    v: int = 1
    log_id: Bytes32
    size: U63
    root: Bytes32
    ts: U63
    restore_epoch: U63
