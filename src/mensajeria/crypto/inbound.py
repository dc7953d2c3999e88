"""Other people's sender sessions (and the own ones, to read what was sent).

The signed session key is the main ratchet. An export (from a backup, an own device, a member) is unproven for every
index below the lowest it has decrypted: it is kept beside, never instead, and the one that decrypts a row wins that
range.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
import vodozemac

from mensajeria.crypto.device import PICKLE_KEY_BYTES, StateError
from mensajeria.crypto.sender import BindingError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import U32, Bytes32
from mensajeria.protocol.records import Record, RoomKey, SessionBinding, Signed
from mensajeria.protocol.signing import from_olm_base64, to_olm_base64

MAX_CANDIDATES: Final = 4
_NEVER: Final = 1 << 32
"""Above every index."""
_Pickle = Annotated[str, msgspec.Meta(max_length=4096)]


class UnknownIndexError(LookupError):
    """No ratchet at hand reaches back to that index: the key must be asked for."""


class MegolmError(ValueError):
    """The message does not verify or decrypt."""


class _PickledRatchet(Record, frozen=True, kw_only=True):
    pickle: _Pickle
    signed: bool
    proven_from: U32 | None


class _PickledInbound(Record, frozen=True, kw_only=True):
    v: int = 1
    binding: Signed
    pickle_key: Bytes32
    ratchets: tuple[_PickledRatchet, ...]


class _ExportedInbound(Record, frozen=True, kw_only=True):
    """A session that is an unproven export and nothing else: a third of the size, which makes restoring many quick."""

    v: int = 1
    binding: Signed
    export: Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]


@dataclass(frozen=True, slots=True)
class _Ratchet:
    """One inbound ratchet. `proven_from` = lowest index that it has decrypted, None = none yet."""

    group: vodozemac.InboundGroupSession
    signed: bool
    proven_from: int | None = None

    @property
    def first_index(self) -> int:
        return self.group.first_known_index

    def vouches_for(self, index: int) -> bool:
        """Is what it opens at that index surely the author's? For a signed one: from its first index on."""
        return self.signed or (self.proven_from is not None and self.proven_from <= index)

    def is_connected(self, other: _Ratchet) -> bool:
        """Do both lead to the same keys? Compared where both are known, in constant time."""
        index = max(self.first_index, other.first_index)
        return hmac.compare_digest(self.export_at(index), other.export_at(index))

    def export_at(self, index: int) -> bytes:
        """An export from an index on that it reaches."""
        export = self.group.export_at(index)
        assert export is not None  # it reaches every index from its first on
        return from_olm_base64(export.to_base64())


@dataclass(frozen=True, slots=True)
class MegolmOpened:
    """A decrypted Megolm message. `changed`: what was proven has grown, so the session should be stored again."""

    plaintext: bytes
    index: int
    session: InboundSession
    changed: bool


class InboundSession:
    """A verified binding and the ratchets that may open its messages. A value: every step gives a new one."""

    __slots__ = ("_ratchets", "binding", "signed_binding")

    def __init__(self, binding: SessionBinding, signed: Signed, ratchets: tuple[_Ratchet, ...]) -> None:
        self.binding = binding
        self.signed_binding = signed
        self._ratchets = ratchets

    @classmethod
    def from_room_key(cls, room_key: RoomKey, binding: SessionBinding) -> InboundSession:
        """From a received key. `binding` is what `verify_binding` gave for `room_key.skb`.

        Raises:
            BindingError: the key is not of the session that the binding names.
        """
        try:
            key = vodozemac.SessionKey(to_olm_base64(room_key.session_key))
            group = vodozemac.InboundGroupSession(key)
        except ValueError as error:
            raise BindingError("malformed session key") from error
        if group.first_known_index != room_key.first_index:
            raise BindingError("another first index")
        return cls._checked(group, binding, room_key.skb, signed=True)

    @classmethod
    def from_export(cls, export: bytes, binding: SessionBinding, signed: Signed) -> InboundSession:
        """From an export, which proves nothing by itself. `binding` is what `verify_binding` gave for `signed`.

        Raises:
            BindingError: the key is not of the session that the binding names.
        """
        try:
            key = vodozemac.ExportedSessionKey(to_olm_base64(export))
            group = vodozemac.InboundGroupSession.import_session(key)
        except ValueError as error:
            raise BindingError("malformed export") from error
        return cls._checked(group, binding, signed, signed=False)

    @classmethod
    def _checked(
        cls, group: vodozemac.InboundGroupSession, binding: SessionBinding, skb: Signed, *, signed: bool
    ) -> InboundSession:
        if from_olm_base64(group.session_id) != binding.session_id:
            raise BindingError("key of another session")
        return cls(binding, skb, (_Ratchet(group, signed),))

    @property
    def session_id(self) -> bytes:
        """32 bytes."""
        return self.binding.session_id

    @property
    def first_index(self) -> int:
        """Lowest index that some ratchet reaches, proven or not."""
        return min(ratchet.first_index for ratchet in self._ratchets)

    @property
    def proven(self) -> bool:
        """True if a signed session key is among the ratchets."""
        return any(ratchet.signed for ratchet in self._ratchets)

    @property
    def proven_from(self) -> int:
        """Lowest index at which a ratchet is proven, so that it may be exported; beyond every index if none is."""
        return min(r.first_index if r.signed else _proven(r) for r in self._ratchets)

    def export_at(self, index: int) -> bytes | None:
        """An export from `index` on, of a ratchet that is proven there; None if there is none."""
        for ratchet in self._ratchets:
            if ratchet.vouches_for(index) and ratchet.first_index <= index:
                return ratchet.export_at(index)
        return None

    def for_backup(self) -> tuple[bytes, int, bool]:
        """What a backup row holds: the export that reaches furthest back, its first index, and whether it is proven.

        A proven ratchet goes before an unproven one, which may be somebody's invention.
        """
        return max((_exported(ratchet) for ratchet in self._ratchets), key=lambda found: (found[2], -found[1]))

    def merge(self, other: InboundSession) -> InboundSession:
        """Both keys' ratchets: signed before exports, none twice; at most four unproven ones are kept.

        Raises:
            BindingError: of another session, or two different bindings for one session.
        """
        if other.signed_binding.body != self.signed_binding.body:
            raise BindingError("another binding")
        kept = self._ratchets
        for ratchet in other._ratchets:
            kept = _merged(kept, ratchet)
        return InboundSession(self.binding, self.signed_binding, _bounded(kept))

    def decrypt(self, message: vodozemac.MegolmMessage) -> MegolmOpened:
        """Open a message with the first ratchet that can.

        Raises:
            UnknownIndexError: no ratchet reaches back that far.
            MegolmError: one should, but it does not verify.
        """
        index = message.message_index()
        able = [ratchet for ratchet in self._ratchets if ratchet.first_index <= index]
        if not able:
            raise UnknownIndexError(str(index))
        for ratchet in able:
            try:
                opened = ratchet.group.decrypt(message)
            except ValueError:
                continue
            return self._proved(ratchet, bytes(opened.plaintext), opened.message_index)
        if not any(ratchet.vouches_for(index) for ratchet in able):
            raise UnknownIndexError(str(index))  # nothing here vouches for that index: the true key may still come
        raise MegolmError("does not verify")

    def _proved(self, ratchet: _Ratchet, plaintext: bytes, index: int) -> MegolmOpened:
        if ratchet.vouches_for(index):
            return MegolmOpened(plaintext, index, self, changed=False)
        proven = replace(ratchet, proven_from=index)
        ratchets = tuple(proven if other is ratchet else other for other in self._ratchets)
        session = InboundSession(self.binding, self.signed_binding, _bounded(ratchets))
        return MegolmOpened(plaintext, index, session, changed=True)

    def dump(self) -> Secret:
        """Everything, to be stored inside the encrypted database."""
        only = self._ratchets[0]
        if len(self._ratchets) == 1 and not only.signed and only.proven_from is None:
            export, _, _ = _exported(only)
            return Secret(encode(_ExportedInbound(binding=self.signed_binding, export=export)))
        key = os.urandom(PICKLE_KEY_BYTES)
        ratchets = tuple(
            _PickledRatchet(pickle=r.group.pickle(key), signed=r.signed, proven_from=r.proven_from)
            for r in self._ratchets
        )
        return Secret(encode(_PickledInbound(binding=self.signed_binding, pickle_key=key, ratchets=ratchets)))

    @classmethod
    def load(cls, state: Secret) -> InboundSession:
        """The inverse of `dump`; raises StateError."""
        exported = _as_export(state)
        if exported is not None:
            return exported
        try:
            record = decode_record(_PickledInbound, state.reveal())
            binding = decode_record(SessionBinding, record.binding.body)
            ratchets = tuple(
                _Ratchet(
                    vodozemac.InboundGroupSession.from_pickle(r.pickle, record.pickle_key), r.signed, r.proven_from
                )
                for r in record.ratchets
            )
        except (MalformedError, ValueError) as error:
            raise StateError("damaged inbound session") from error
        if not ratchets:
            raise StateError("empty inbound session")
        return cls(binding, record.binding, ratchets)

    def __repr__(self) -> str:
        return f"InboundSession({self.session_id.hex()}, ***)"


def state_of_export(export: bytes, signed: Signed) -> Secret:
    """What `dump` gives for a session that `from_export` has just made of these, without exporting it again."""
    return Secret(encode(_ExportedInbound(binding=signed, export=export)))


def _proven(ratchet: _Ratchet) -> int:
    return _NEVER if ratchet.proven_from is None else ratchet.proven_from


def _as_export(state: Secret) -> InboundSession | None:
    """The session, if it was stored as an export."""
    try:
        record = decode_record(_ExportedInbound, state.reveal())
        binding = decode_record(SessionBinding, record.binding.body)
        return InboundSession.from_export(record.export, binding, record.binding)
    except (MalformedError, BindingError):
        return None


def _exported(ratchet: _Ratchet) -> tuple[bytes, int, bool]:
    """An export, its first index, and whether it is proven. A proven export begins where its proof does."""
    proven = ratchet.signed or ratchet.proven_from is not None
    index = ratchet.first_index if ratchet.signed or ratchet.proven_from is None else ratchet.proven_from
    return ratchet.export_at(index), index, proven


def _merged(kept: tuple[_Ratchet, ...], added: _Ratchet) -> tuple[_Ratchet, ...]:
    """With one more ratchet. Of two connected ones the longer stays, with what both have proven.

    An export that is connected to a signed ratchet and reaches further back stays beside it: the signature vouches for
    the signed ratchet's own indexes only.
    """
    for position, present in enumerate(kept):
        if present.signed == added.signed and present.is_connected(added):
            longer = min(present, added, key=lambda ratchet: ratchet.first_index)
            better = replace(longer, proven_from=min(present, added, key=_proven).proven_from)
            return (*kept[:position], better, *kept[position + 1 :])
    return (*kept, added)


def _bounded(ratchets: tuple[_Ratchet, ...]) -> tuple[_Ratchet, ...]:
    """Signed ones first, then proven ones by their index; of the unproven the newest four."""
    signed = [r for r in ratchets if r.signed]
    proven = sorted((r for r in ratchets if not r.signed and r.proven_from is not None), key=_proven)
    unproven = [r for r in ratchets if not r.signed and r.proven_from is None]
    return (*signed[:MAX_CANDIDATES], *proven[:MAX_CANDIDATES], *unproven[-MAX_CANDIDATES:])
