"""What a server, or a member whose keys the attacker has, can make: identities, lists and devices that verify."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from mensajeria.client.engine.people import verified_list
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import Identity
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.crypto.sender import OutboundSession
from mensajeria.crypto.todevice import seal_to_device
from mensajeria.protocol.devices import VerifiedList
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.frames import Envelope
from mensajeria.protocol.ids import Uid, b64
from mensajeria.protocol.prekeys import verify_fallback_key, verify_pq_prekey
from mensajeria.protocol.records import (
    DeviceAddress,
    DeviceList,
    FormerDevice,
    MembershipHead,
    SenderAddress,
    Signed,
)
from mensajeria.protocol.signing import Ctx
from mensajeria.server.transparency.log import record_handle
from tests.attacks.evil import Json, Rule
from tests.attacks.stage import Actor, Stage


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


class Member:
    """A person whose keys the attacker has, and whom the server helps: nothing about them needs to be registered."""

    def __init__(self, handle: str = "eva") -> None:
        self.uid = os.urandom(16)
        made = Impostor.first(self.uid, handle)
        self.handle, self.identity, self.device, self.signed = handle, made.identity, made.device, made.signed

    async def enter_log(self, stage: Stage) -> None:
        """The server's key log names the member too."""
        server = stage.evil.server
        await server.db.write(
            lambda connection: record_handle(
                connection, server_id=server.facts.server_id, handle=self.handle, uid=self.uid, now_ms=now_ms()
            )
        )

    @property
    def rule(self) -> ServeKeys:
        """The server knows the member."""
        return ServeKeys(self.uid, keys_of(self.uid, self.identity.record, self.signed), handle=self.handle)

    @property
    def address(self) -> SenderAddress:
        return SenderAddress(uid=self.uid, did=self.device.did, idfp=self.identity.idfp, dl_ver=1)

    def session(self, chat_id: bytes, head: MembershipHead, **who: bytes) -> OutboundSession:
        """A sender session, if need be in the name of somebody else; this member's device signs it."""
        session = OutboundSession.create(self.device, chat_id=chat_id, head=head, dl_ver=1, now_ms=now_ms())
        if who:
            session.binding = msgspec.structs.replace(session.binding, **who)
            session.signed_binding = self.device.sign(Ctx.MEGOLM_BIND, encode(session.binding))
        return session


async def envelope_for(
    stage: Stage, actor: Actor, sender: DeviceKeys, address: SenderAddress, kind: str, content: bytes
) -> Envelope:
    """What `sender` would put into the actor's mailbox; the server gives it the prekeys and an id."""
    verified = list_known(await actor.read(contact_of(actor.uid)))
    did = actor.client._context.me.did
    listed = verified.find(did)
    assert listed is not None
    with stage.evil.database() as db:
        sql = "SELECT pq_body, pq_sig, fallback_body, fallback_sig FROM device WHERE did = ?"
        pq_body, pq_sig, body, sig = db.execute(sql, (did,)).fetchone()
    sealed = seal_to_device(
        sender,
        OlmPeer.new(did, listed.curve25519),
        sender=address,
        recipient=DeviceAddress(uid=actor.uid, did=did, idfp=verified.idfp),
        listed=listed,
        pq=verify_pq_prekey(Signed(pq_body, pq_sig), uid=actor.uid, device=listed, now_ms=now_ms()),
        one_time=verify_fallback_key(Signed(body, sig), uid=actor.uid, device=listed).key,
        type=kind,
        content=content,
        mid=os.urandom(16),
        now_ms=now_ms(),
    )
    return Envelope(1 << 40, sealed.prekey_id, sealed.blob)
