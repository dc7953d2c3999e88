"""To-device envelopes: the only path for secrets. HPKE around Olm around a padded inner (docs/protocol/e2ee.md §5).

Opening has two steps, so that an envelope can be parked between them: `open_outer` says who claims to have sent it,
`open_inner` needs that user's verified device list. Both change no state when they fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mensajeria.crypto.device import DeviceKeys, UnknownPrekeyError
from mensajeria.crypto.hpke import HpkeError, hpke_seal
from mensajeria.crypto.olm import OlmCause, OlmError, OlmOpened, OlmPeer
from mensajeria.crypto.padding import PaddingError, pad_todevice, unpad_todevice
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, encode, u32
from mensajeria.protocol.records import (
    SUITE_TODEVICE,
    DeviceAddress,
    ListedDevice,
    PqPrekey,
    SenderAddress,
    ToDevice,
    ToDeviceOuter,
)


class EnvelopeCause(StrEnum):
    """Why an envelope was not opened. The first group may open later: fetch the sender's newest list and try again."""

    NOT_LISTED = "not_listed"
    NEWER_LIST = "newer_list"
    UNKNOWN_PREKEY = "unknown_prekey"
    NEWER_VERSION = "newer_version"
    MALFORMED = "malformed"
    NOT_FOR_THIS_KEY = "not_for_this_key"
    WRONG_KEY = "wrong_key"
    NO_SESSION = "no_session"
    TOMBSTONED = "tombstoned"
    BAD_CIPHERTEXT = "bad_ciphertext"
    WRONG_SENDER = "wrong_sender"
    WRONG_RECIPIENT = "wrong_recipient"

    @property
    def may_open_later(self) -> bool:
        """True if a newer device list of the sender may change the outcome: park it."""
        return self in {EnvelopeCause.NOT_LISTED, EnvelopeCause.NEWER_LIST}


class EnvelopeError(ValueError):
    """The envelope does not open; no state has changed."""

    def __init__(self, cause: EnvelopeCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class NoSessionError(LookupError):
    """Sealing needs a verified one-time or fallback key first."""


_OLM_CAUSES = {
    OlmCause.NO_SESSION: EnvelopeCause.NO_SESSION,
    OlmCause.BAD_KEY: EnvelopeCause.WRONG_KEY,
    OlmCause.MALFORMED: EnvelopeCause.MALFORMED,
    OlmCause.TOMBSTONED: EnvelopeCause.TOMBSTONED,
    OlmCause.BAD_CIPHERTEXT: EnvelopeCause.BAD_CIPHERTEXT,
}


@dataclass(frozen=True, slots=True)
class SealedEnvelope:
    """What goes into a `PutTarget`, and the Olm state to store before it does."""

    did: bytes
    prekey_id: int
    blob: bytes = field(repr=False)
    peer: OlmPeer = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedEnvelope:
    """A checked message, and the states to store with its effect in one transaction."""

    message: ToDevice
    peer: OlmPeer = field(repr=False)
    device_changed: bool
    """The device keys have changed too (a one-time key was used up): store `device.dump()` as well."""


def envelope_info(uid: bytes, did: bytes, prekey_id: int) -> bytes:
    """HPKE's info: binds a blob to its recipient and prekey."""
    return H("to-device", uid, did, u32(prekey_id))


def seal_to_device(
    device: DeviceKeys,
    peer: OlmPeer,
    *,
    sender: SenderAddress,
    recipient: DeviceAddress,
    listed: ListedDevice,
    pq: PqPrekey,
    one_time: bytes | None = None,
    type: str,  # noqa: A002 - the specification's own name
    content: bytes,
    mid: bytes,
    now_ms: int,
) -> SealedEnvelope:
    """Seal `content` for one device of the newest verified list.

    Args:
        device: this device's keys.
        peer: Olm state with that device.
        sender: this device, as its own newest list names it.
        recipient: the device, and the identity that lists it.
        listed: the device in that list.
        pq: its verified hybrid prekey.
        one_time: a verified one-time or fallback key, for a new session.
        type: to-device type.
        content: encoded body of that type.
        mid: 16 fresh random bytes.
        now_ms: time.

    Raises:
        NoSessionError: no session yet and no `one_time`.
        EnvelopeError: a key must not be used, or the content is too large.
    """
    if peer.did != listed.did or recipient.did != listed.did or pq.did != listed.did or pq.uid != recipient.uid:
        raise EnvelopeError(EnvelopeCause.WRONG_RECIPIENT)
    if peer.curve25519 != listed.curve25519:
        raise EnvelopeError(EnvelopeCause.WRONG_KEY)
    inner = encode(ToDevice(t=type, sender=sender, recipient=recipient, mid=mid, ts=now_ms, c=content))
    try:
        if one_time is not None:
            peer = peer.start(device, one_time, now_ms)
        if not peer.has_session:
            raise NoSessionError(listed.did.hex())
        after, kind, olm = peer.encrypt(pad_todevice(inner))
        outer = encode(ToDeviceOuter(SUITE_TODEVICE, kind, device.uid, device.did, device.curve25519, olm))
        blob = hpke_seal(pq.key, envelope_info(recipient.uid, recipient.did, pq.prekey_id), outer)
    except OlmError as error:
        raise EnvelopeError(_OLM_CAUSES[error.cause]) from error
    except (PaddingError, HpkeError) as error:
        raise EnvelopeError(EnvelopeCause.MALFORMED) from error
    return SealedEnvelope(listed.did, pq.prekey_id, blob, after)


def open_outer(device: DeviceKeys, prekey_id: int, blob: bytes) -> ToDeviceOuter:
    """First step: who claims to have sent this. Needs nothing but this device's keys.

    Raises:
        EnvelopeError: UNKNOWN_PREKEY, NOT_FOR_THIS_KEY, NEWER_VERSION or MALFORMED.
    """
    if len(blob) > limits.MAX_ENVELOPE:
        raise EnvelopeError(EnvelopeCause.MALFORMED)
    try:
        outer = device.private_prekey(prekey_id).open(envelope_info(device.uid, device.did, prekey_id), blob)
        return decode_array(ToDeviceOuter, outer, max_size=limits.MAX_ENVELOPE)
    except UnknownPrekeyError as error:
        raise EnvelopeError(EnvelopeCause.UNKNOWN_PREKEY) from error
    except HpkeError as error:
        raise EnvelopeError(EnvelopeCause.NOT_FOR_THIS_KEY) from error
    except NewerVersionError as error:
        raise EnvelopeError(EnvelopeCause.NEWER_VERSION) from error
    except MalformedError as error:
        raise EnvelopeError(EnvelopeCause.MALFORMED) from error


def open_inner(
    device: DeviceKeys,
    outer: ToDeviceOuter,
    *,
    sender: VerifiedList,
    me: DeviceAddress,
    peer: OlmPeer | None,
    now_ms: int,
) -> OpenedEnvelope:
    """Second step: decrypt under the listed key of the sending device and check both addresses.

    The caller still has to see that the mid is new and that the type is allowed from this sender.

    Args:
        device: this device's keys; changed only on success (`device_changed`).
        outer: from `open_outer`.
        sender: the newest verified list of the user that `outer` names.
        me: this device, under its own identity.
        peer: stored Olm state with the sending device, None = none.
        now_ms: time.

    Raises:
        EnvelopeError: the cause says whether to park it.
    """
    listed = sender.find(outer.did) if sender.uid == outer.uid else None
    if listed is None:
        raise EnvelopeError(EnvelopeCause.NOT_LISTED)
    if outer.curve25519 != listed.curve25519:
        raise EnvelopeError(EnvelopeCause.WRONG_KEY)
    if peer is None or peer.curve25519 != listed.curve25519:
        peer = OlmPeer.new(listed.did, listed.curve25519)
    try:
        opened = peer.decrypt(device, outer.kind, outer.olm, now_ms)
    except OlmError as error:
        raise EnvelopeError(_OLM_CAUSES[error.cause]) from error
    message = _check_inner(opened, outer, sender, me)
    if opened.account is not None:
        device.use_account(opened.account)
    return OpenedEnvelope(message, opened.peer, opened.account is not None)


def _check_inner(opened: OlmOpened, outer: ToDeviceOuter, sender: VerifiedList, me: DeviceAddress) -> ToDevice:
    try:
        message = decode_record(ToDevice, unpad_todevice(opened.plaintext))
    except NewerVersionError as error:
        raise EnvelopeError(EnvelopeCause.NEWER_VERSION) from error
    except (MalformedError, PaddingError) as error:
        raise EnvelopeError(EnvelopeCause.MALFORMED) from error
    claimed = message.sender
    if (claimed.uid, claimed.did) != (outer.uid, outer.did):
        raise EnvelopeError(EnvelopeCause.WRONG_SENDER)
    if message.recipient != me:
        raise EnvelopeError(EnvelopeCause.WRONG_RECIPIENT)
    if claimed.dl_ver > sender.ver:  # before the identity, which may be the one of that list
        raise EnvelopeError(EnvelopeCause.NEWER_LIST)
    if claimed.idfp != sender.idfp:
        raise EnvelopeError(EnvelopeCause.WRONG_SENDER)
    return message
