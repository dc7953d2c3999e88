"""To-device messages on their way out: sealed in a transaction that keeps their ratchet, sent afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mensajeria.client.engine.mailbag import Mailbag, pq_name
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.people import list_of
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import OutgoingEnvelope, Share, ShareOutcome
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.todevice import EnvelopeError, NoSessionError, seal_to_device
from mensajeria.protocol.decoding import decode_array, decode_record
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.frames import PutOutcome
from mensajeria.protocol.ids import Did, SessionId, Uid
from mensajeria.protocol.prekeys import PrekeyError, verify_fallback_key, verify_one_time_key, verify_pq_prekey
from mensajeria.protocol.records import DeviceAddress, ListedDevice, PqPrekey, SenderAddress, Signed
from mensajeria.protocol.records_profiles import PROFILE_KEY
from mensajeria.protocol.signing import BadSignatureError

if TYPE_CHECKING:  # its library is loaded when the network is first used
    from mensajeria.protocol.api import ClaimedKeys, SignedModel

ROOM_KEY: Final = "room_key"
READ: Final = "read"
ACK: Final = "ack"
KEY_REQUEST: Final = "key_request"
HISTORY_KEYS: Final = "history_keys"
_MARGIN_MS: Final = 3_600_000
OUTCOMES: Final = {
    PutOutcome.OK: ShareOutcome.SHARED,
    PutOutcome.STALE: ShareOutcome.STALE,
    PutOutcome.QUOTA: ShareOutcome.QUOTA,
    PutOutcome.REFUSED: ShareOutcome.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one device. `session_id`: it carries the key of that sender session, from `idx` on.

    A profile's letter has the profile's version as `idx`.
    """

    uid: Uid
    did: Did
    type: str
    content: bytes
    session_id: SessionId | None = None
    idx: int = 0
    fresh: bool = False
    """Start a new pairwise session: the ones at hand have proven broken."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Verified prekeys of a device."""

    pq: PqPrekey
    one_time: bytes | None


class PostOffice:
    """The transactional half of sending letters; runs in the store's thread."""

    def __init__(self, me: Me, allowance: Callable[[Tx], int]) -> None:
        self._me = me
        self._allowance = allowance

    def unprepared(self, tx: Tx, letters: Iterable[Letter]) -> list[Did]:
        """Devices whose prekeys must be claimed before they can be written to."""
        now, letters = self._me.clock.now_ms(), list(letters)
        bag = _bag(tx, letters)
        return list(dict.fromkeys(letter.did for letter in letters if not _is_prepared(bag, letter, now)))

    def seal(self, tx: Tx, letters: Sequence[Letter], claimed: Mapping[Did, Keys]) -> int:
        """Seal and queue letters, as many as the vault allows; how many. Devices without keys are noted as stale."""
        device, now = self._me.device(tx), self._me.clock.now_ms()
        sender = self._me.sender(tx)
        taken = letters[: self._allowance(tx)]
        bag = _bag(tx, taken)
        sealed = 0
        for letter in taken:
            keys = claimed.get(letter.did) or _cached(bag, letter, now)
            good = keys is not None and self._seal_one(bag, device, sender, letter, keys, now)
            sealed += good
            outcome = ShareOutcome.QUEUED if good else ShareOutcome.STALE
            bag.note(letter.session_id, Share(letter.uid, letter.did, letter.idx, outcome, now))
            if good and letter.type == PROFILE_KEY:
                tx.profiles.note_told(letter.did, letter.idx)
        bag.close()
        if sealed:
            tx.own.count_gen(sealed)
        return len(taken)

    def verify_claimed(self, tx: Tx, letters: Iterable[Letter], answers: Iterable[ClaimedKeys]) -> dict[Did, Keys]:
        """The claimed keys that their devices have signed; others are left out."""
        owners = {letter.did: letter.uid for letter in letters}
        found: dict[Did, Keys] = {}
        for answer in answers:
            did = Did(answer.did)
            listed = _listed(tx, owners[did], did) if did in owners else None
            newest, now = tx.meta.number(_newest_name(did)), self._me.clock.now_ms()
            keys = None if listed is None else _verify(answer, owners[did], listed, now, newest)
            if keys is not None and answer.pq is not None:
                found[did] = keys
                tx.meta.raise_to(_newest_name(did), keys.pq.prekey_id)
                tx.meta.set(pq_name(did), encode(_signed(answer.pq)))
        return found

    def settle(self, tx: Tx, envelope: OutgoingEnvelope, outcome: PutOutcome) -> None:
        """The server has answered for an envelope."""
        now = self._me.clock.now_ms()
        tx.envelopes.confirmed(envelope.id)
        if outcome is PutOutcome.STALE:
            tx.meta.remove(pq_name(envelope.did))
        if envelope.type == PROFILE_KEY and outcome is not PutOutcome.OK:
            tx.profiles.forget_told(envelope.did)
        if envelope.session_id is not None:
            idx = tx.outbound.shared_from(envelope.session_id, envelope.did)
            _note_share(tx, envelope.session_id, envelope.uid, envelope.did, idx, OUTCOMES[outcome], now)

    def _seal_one(
        self, bag: Mailbag, device: DeviceKeys, sender: SenderAddress, letter: Letter, keys: Keys, now: int
    ) -> bool:
        theirs = bag.list_of(letter.uid)
        listed = None if theirs is None else theirs.find(letter.did)
        if theirs is None or listed is None:
            return False
        peer = bag.peer(listed)
        try:
            sealed = seal_to_device(
                device,
                peer,
                sender=sender,
                recipient=DeviceAddress(uid=letter.uid, did=letter.did, idfp=theirs.idfp),
                listed=listed,
                pq=keys.pq,
                one_time=keys.one_time if letter.fresh or not peer.has_session else None,
                type=letter.type,
                content=letter.content,
                mid=os.urandom(16),
                now_ms=now,
            )
        except (EnvelopeError, NoSessionError):
            return False
        envelope = OutgoingEnvelope(
            0, letter.uid, letter.did, sealed.prekey_id, sealed.blob, letter.type, letter.session_id, now
        )
        bag.put(sealed.peer, envelope)
        return True


def _bag(tx: Tx, letters: Sequence[Letter]) -> Mailbag:
    return Mailbag(tx, [letter.uid for letter in letters], [letter.did for letter in letters])


def _is_prepared(bag: Mailbag, letter: Letter, now: int) -> bool:
    theirs = bag.list_of(letter.uid)
    listed = None if theirs is None else theirs.find(letter.did)
    if listed is None:
        return True  # nothing to claim: it will be noted as stale
    return not letter.fresh and bag.peer(listed).has_session and _cached(bag, letter, now) is not None


def _cached(bag: Mailbag, letter: Letter, now: int) -> Keys | None:
    """The hybrid prekey that was verified when it was claimed, while it is valid for a while yet."""
    data = bag.prekey(letter.did)
    if data is None:
        return None
    try:
        pq = decode_record(PqPrekey, decode_array(Signed, data, max_size=8192).body)
    except MalformedError:
        return None
    return Keys(pq, None) if pq.expires > now + _MARGIN_MS else None


def devices_of(lists: Iterable[VerifiedList], *, but: Did) -> list[tuple[Uid, Did]]:
    """All devices of these lists except the own one, each once."""
    found = {Did(device.did): Uid(verified.uid) for verified in lists for device in verified.list.devices}
    return [(uid, did) for did, uid in found.items() if did != but]


def _note_share(
    tx: Tx, session_id: SessionId | None, uid: Uid, did: Did, idx: int, outcome: ShareOutcome, now_ms: int
) -> None:
    if session_id is not None:
        tx.outbound.put_share(session_id, Share(uid, did, idx, outcome, now_ms))


def _listed(tx: Tx, uid: Uid, did: Did) -> ListedDevice | None:
    theirs = list_of(tx, uid)
    return None if theirs is None else theirs.find(did)


def _verify(answer: ClaimedKeys, uid: Uid, listed: ListedDevice, now_ms: int, newest_id: int) -> Keys | None:
    """The answer's keys if the device signed them; None when it has no valid hybrid prekey or a signature is false."""
    if answer.pq is None:
        return None
    try:
        pq = verify_pq_prekey(_signed(answer.pq), uid=uid, device=listed, now_ms=now_ms, newest_id=newest_id)
        one_time = None
        if answer.one_time is not None:
            one_time = verify_one_time_key(_signed(answer.one_time), uid=uid, device=listed).key
        elif answer.fallback is not None:
            one_time = verify_fallback_key(_signed(answer.fallback), uid=uid, device=listed).key
    except (PrekeyError, BadSignatureError, MalformedError):
        return None
    return Keys(pq, one_time)


def _signed(model: SignedModel) -> Signed:
    return Signed(model.body, model.sig)


def _newest_name(did: Did) -> str:
    """Counter of the meta table: the highest id of a hybrid prekey that this device has seen of another one."""
    return f"pq_newest:{did.hex()}"
