"""What a server, or a member whose keys the attacker has, can make: identities, lists and devices that verify."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.ids import Uid, b64
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import DeviceList, FormerDevice, Signed
from mensajeria.protocol.signing import Ctx
from tests.attacks.evil import Json, Rule


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def fresh_identity(uid: bytes) -> Identity:
    """An identity for somebody's uid of which the attacker has the private keys."""
    return AccountRoot.generate().identity(uid, RecoveryCode.generate().public)


@dataclass(frozen=True)
class Impostor:
    """A device with its list, in the name of a uid; consistent in itself."""

    identity: Identity
    device: DeviceKeys
    signed: Signed

    @classmethod
    def instead_of(cls, current: VerifiedList) -> Impostor:
        """Continues the chain of lists, so that nothing but the identity is wrong."""
        identity, device = fresh_identity(current.uid), DeviceKeys.create(current.uid)
        former = tuple(
            FormerDevice(
                did=one.did, ed25519=one.ed25519, curve25519=one.curve25519, from_ver=one.from_ver, to_ver=current.ver
            )
            for one in current.list.devices
        )
        body = encode(
            DeviceList(
                uid=current.uid,
                handle=current.handle,
                idfp=identity.idfp,
                ver=current.ver + 1,
                prev=current.hash,
                ts=now_ms(),
                devices=(device.card(identity.idfp, now_ms()).listed(current.ver + 1),),
                former=former,
                backup_ver=current.list.backup_ver + 1,
            )
        )
        return cls(identity, device, Signed(body, identity.sign(Ctx.DEVICE_LIST, body)))

    @classmethod
    def first(cls, uid: bytes, handle: str) -> Impostor:
        """As if it had registered."""
        identity, device = fresh_identity(uid), DeviceKeys.create(uid)
        return cls(identity, device, identity.first_list(handle, device.card(identity.idfp, now_ms()), now_ms()))


def keys_of(uid: bytes, record: bytes, signed: Signed) -> Json:
    """The server's answer for a user's keys."""
    return {"uid": b64(uid), "identity": b64(record), "device_list": model(signed)}


def model(signed: Signed) -> Json:
    return {"body": b64(signed.body), "sig": b64(signed.sig)}


def contact_of(uid: bytes) -> Any:
    """Reads a contact of a store."""

    def read(tx: Tx) -> Contact:
        contact = tx.contacts.get(Uid(uid))
        assert contact is not None
        return contact

    return read


def list_known(contact: Contact) -> VerifiedList:
    return verified_list(contact)


class ServeKeys(Rule):
    """Answers for a user's keys, by id or by name, with something else; `only` to one viewer if given."""

    def __init__(self, uid: bytes, answer: Json, *, only: bytes | None = None, handle: str | None = None) -> None:
        self._paths = {f"/v1/users/{b64(uid)}/keys", f"/v1/users/by-handle/{handle}"}
        self._answer = answer
        self._only = only
        self.asked = 0

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if path in self._paths and self._only in {None, to}:
            self.asked += 1
            return self._answer
        return super().rest(to, method, path, answer)
