"""The keys of this device: its Olm account (Ed25519, Curve25519, one-time and fallback keys) and its hybrid prekeys.

`dump` and `load` go through one record whose pickles are encrypted under a fresh random key each time; it is stored
inside the encrypted database, in the same transaction as the effect it belongs to.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Annotated, Final, Protocol, cast

import msgspec
import vodozemac

from mensajeria.crypto.hpke import PRIVATE_BYTES, HpkeError, HybridPrivateKey
from mensajeria.crypto.identity import DeviceCard
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.auth import Prekeys
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import pop_body
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import U32, U63, Bytes16, Bytes32
from mensajeria.protocol.membership import encode_member_event
from mensajeria.protocol.records import DeviceLogin, MemberEvent, OneTimeKey, PqPrekey, Record, Signed
from mensajeria.protocol.signing import Ctx, from_olm_base64, signing_input

PICKLE_KEY_BYTES: Final = 32
_MAX_STATE: Final = 4 << 20
_PRIVATE_HALF_MS: Final = limits.PQ_PREKEY_VALID_MS
"""A private half lives this long after its key was superseded: envelopes sealed to it may still be in the mailbox."""


class StateError(ValueError):
    """A stored state is damaged, or was written by another version."""


class UnknownPrekeyError(LookupError):
    """The private half of that prekey is not here (any more)."""


class _PickledPrekey(Record, frozen=True, kw_only=True):
    prekey_id: U32
    material: Annotated[bytes, msgspec.Meta(min_length=PRIVATE_BYTES, max_length=PRIVATE_BYTES)]
    created: U63
    superseded: U63
    published: bool


class _PickledDevice(Record, frozen=True, kw_only=True):
    v: int = 1
    uid: Bytes16
    did: Bytes16
    pickle_key: Bytes32
    account: str
    fallback_created: U63
    prekeys: tuple[_PickledPrekey, ...]


@dataclass(frozen=True, slots=True)
class _Prekey:
    """One hybrid prekey; `superseded` = when a newer one took its place, 0 = it is the newest."""

    prekey_id: int
    key: HybridPrivateKey
    created: int
    superseded: int = 0
    published: bool = False


class _WithFallback(Protocol):
    """What `vodozemac.Account` has and its type stubs leave out."""

    def generate_fallback_key(self) -> object: ...

    @property
    def fallback_key(self) -> dict[str, vodozemac.Curve25519PublicKey]: ...


class DeviceKeys:
    """This device's private keys. Methods that change them say so: dump and store before bytes leave."""

    def __init__(
        self, uid: bytes, did: bytes, account: vodozemac.Account, fallback_created: int, prekeys: tuple[_Prekey, ...]
    ) -> None:
        self.uid = uid
        self.did = did
        self._account = account
        self._fallback_created = fallback_created
        self._prekeys = prekeys
        self.ed25519: bytes = from_olm_base64(account.ed25519_key.to_base64())
        self.curve25519: bytes = account.curve25519_key.to_bytes()

    @classmethod
    def create(cls, uid: bytes, did: bytes | None = None) -> DeviceKeys:
        """New keys; `did` is 16 random bytes unless given."""
        return cls(uid, did or os.urandom(16), vodozemac.Account(), 0, ())

    @property
    def account(self) -> vodozemac.Account:
        """The Olm account, for crypto.olm only."""
        return self._account

    @property
    def _with_fallback(self) -> _WithFallback:
        return cast("_WithFallback", self._account)

    @property
    def pq_prekey_id(self) -> int:
        """Id of the newest hybrid prekey, 0 = none yet."""
        return self._prekeys[-1].prekey_id if self._prekeys else 0

    def card(self, idfp: bytes, created_ms: int) -> DeviceCard:
        """What an identity lists, with the proof of possession for that identity."""
        body = pop_body(self.uid, self.did, idfp, self.ed25519, self.curve25519)
        return DeviceCard(self.did, self.ed25519, self.curve25519, created_ms, self.sign(Ctx.DEVICE, body).sig)

    def sign(self, ctx: Ctx, body: bytes) -> Signed:
        """`body` with this device's Ed25519 signature over it in that context."""
        return Signed(body, from_olm_base64(self._account.sign(signing_input(ctx, body)).to_base64()))

    def login(self, server_id: bytes, transcript: bytes) -> Signed:
        """Takes the login of that transcript as this device."""
        record = DeviceLogin(server_id=server_id, uid=self.uid, did=self.did, transcript=transcript)
        return self.sign(Ctx.DEVICE_LOGIN, encode(record))

    def member_event(self, event: MemberEvent) -> Signed:
        """A membership event by this device."""
        return self.sign(Ctx.MEMBER_EVENT, encode_member_event(event))

    # --- prekeys ---

    def first_prekeys(self, now_ms: int) -> Prekeys:
        """Everything a new device publishes. Changes the keys."""
        self._new_fallback(now_ms)
        self._new_pq(now_ms)
        one_time = self.new_one_time_keys(limits.OTK_TARGET)
        return Prekeys(one_time, self._signed_fallback(), self._signed_pq())

    def new_one_time_keys(self, count: int) -> tuple[Signed, ...]:
        """All unpublished one-time keys after making `count` more, at most an upload's worth. Changes the keys."""
        unpublished = len(self._account.one_time_keys)
        room = min(limits.OTK_UPLOAD_MAX, self._account.max_number_of_one_time_keys) - unpublished
        self._account.generate_one_time_keys(max(min(count, room), 0))
        return tuple(self._signed_key(Ctx.OTK, key) for key in self._account.one_time_keys.values())

    def rotate(self, now_ms: int) -> Prekeys | None:
        """Renew what is due and drop what is too old; what must be uploaded, None = nothing. Changes the keys.

        Call it after the mailbox is drained: envelopes in it may be sealed to the oldest keys.
        """
        if now_ms - self._fallback_created >= limits.FALLBACK_ROTATE_MS:
            self._new_fallback(now_ms)
        if not self._prekeys or now_ms - self._prekeys[-1].created >= limits.PQ_PREKEY_ROTATE_MS:
            self._new_pq(now_ms)
        self._prekeys = tuple(
            key for key in self._prekeys if not key.superseded or now_ms - key.superseded < _PRIVATE_HALF_MS
        )
        pq = None if self._prekeys[-1].published else self._signed_pq()
        fallback = self._signed_fallback()
        return Prekeys((), fallback, pq) if pq is not None or fallback is not None else None

    def mark_published(self) -> None:
        """The server has accepted the last upload. Changes the keys."""
        self._account.mark_keys_as_published()
        if self._prekeys:
            self._prekeys = (*self._prekeys[:-1], replace(self._prekeys[-1], published=True))

    def private_prekey(self, prekey_id: int) -> HybridPrivateKey:
        """The private half.

        Raises:
            UnknownPrekeyError: never made here, or dropped since.
        """
        for prekey in self._prekeys:
            if prekey.prekey_id == prekey_id:
                return prekey.key
        raise UnknownPrekeyError(str(prekey_id))

    def _new_fallback(self, now_ms: int) -> None:
        self._with_fallback.generate_fallback_key()
        self._fallback_created = now_ms

    def _new_pq(self, now_ms: int) -> None:
        older = tuple(key if key.superseded else replace(key, superseded=now_ms) for key in self._prekeys)
        self._prekeys = (*older, _Prekey(self.pq_prekey_id + 1, HybridPrivateKey.generate(), now_ms))

    def _signed_fallback(self) -> Signed | None:
        keys = self._with_fallback.fallback_key.values()
        return next((self._signed_key(Ctx.FALLBACK, key) for key in keys), None)

    def _signed_key(self, ctx: Ctx, key: vodozemac.Curve25519PublicKey) -> Signed:
        return self.sign(ctx, encode(OneTimeKey(uid=self.uid, did=self.did, key=key.to_bytes())))

    def _signed_pq(self) -> Signed:
        newest = self._prekeys[-1]
        record = PqPrekey(
            uid=self.uid,
            did=self.did,
            prekey_id=newest.prekey_id,
            key=newest.key.public,
            created=newest.created,
            expires=newest.created + limits.PQ_PREKEY_VALID_MS,
        )
        return self.sign(Ctx.PQ_PREKEY, encode(record))

    # --- storage ---

    def clone_account(self) -> vodozemac.Account:
        """A copy to try a pre-key message on: a failed one must not use up a one-time key."""
        key = os.urandom(PICKLE_KEY_BYTES)
        return vodozemac.Account.from_pickle(self._account.pickle(key), key)

    def use_account(self, account: vodozemac.Account) -> None:
        """Keep a copy on which a pre-key message was accepted. Changes the keys."""
        self._account = account

    def dump(self) -> Secret:
        """Everything, to be stored inside the encrypted database."""
        key = os.urandom(PICKLE_KEY_BYTES)
        prekeys = tuple(
            _PickledPrekey(
                prekey_id=p.prekey_id,
                material=p.key.material.reveal(),
                created=p.created,
                superseded=p.superseded,
                published=p.published,
            )
            for p in self._prekeys
        )
        state = _PickledDevice(
            uid=self.uid,
            did=self.did,
            pickle_key=key,
            account=self._account.pickle(key),
            fallback_created=self._fallback_created,
            prekeys=prekeys,
        )
        return Secret(encode(state))

    @classmethod
    def load(cls, state: Secret) -> DeviceKeys:
        """The inverse of `dump`.

        Raises:
            StateError: damaged.
        """
        try:
            record = decode_record(_PickledDevice, state.reveal(), max_size=_MAX_STATE)
            account = vodozemac.Account.from_pickle(record.account, record.pickle_key)
            prekeys = tuple(
                _Prekey(p.prekey_id, HybridPrivateKey(Secret(p.material)), p.created, p.superseded, p.published)
                for p in record.prekeys
            )
        except (MalformedError, HpkeError, ValueError) as error:
            raise StateError("damaged device keys") from error
        return cls(record.uid, record.did, account, record.fallback_created, prekeys)

    def __repr__(self) -> str:
        return f"DeviceKeys(did={self.did.hex()}, ***)"
