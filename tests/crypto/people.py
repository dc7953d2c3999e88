"""Real users with real keys for the tests of protocol and crypto."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import Draft, text_body
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.crypto.sender import OutboundSession, decode_room_key, verify_binding
from mensajeria.crypto.todevice import SealedEnvelope, seal_to_device
from mensajeria.protocol.auth import Prekeys
from mensajeria.protocol.devices import (
    VerifiedList,
    check_first_list,
    check_next_list,
    device_list_hash,
    encode_device_list,
)
from mensajeria.protocol.membership import MembershipState, direct_chat_id, start_direct
from mensajeria.protocol.prekeys import verify_one_time_key, verify_pq_prekey
from mensajeria.protocol.records import DeviceAddress, DeviceList, MembershipHead, SenderAddress, Signed
from mensajeria.protocol.signing import Ctx

NOW = 1_700_000_000_000
DAY = 24 * 3600 * 1000
SERVER = bytes(range(16))


class Person:
    """An account with its first device; more devices by `add_device`."""

    def __init__(self, handle: str, uid: bytes | None = None) -> None:
        self.uid = uid or os.urandom(16)
        self.handle = handle
        self.code = RecoveryCode.generate()
        self.root = AccountRoot.generate()
        self.identity = self.root.identity(self.uid, self.code.public)
        self.device = DeviceKeys.create(self.uid)
        self.signed_list = self.identity.first_list(handle, self.device.card(self.idfp, NOW), NOW)
        self.list: VerifiedList = check_first_list(self.signed_list, self.record, uid=self.uid, handle=handle)

    def copy(self) -> Person:
        """The same person, who may change without this one; a new one costs ten signatures."""
        made = copy(self)
        made.device = DeviceKeys.load(self.device.dump())
        return made

    @cached_property
    def prekeys(self) -> Prekeys:
        """What the device has published; made when it is asked for: a hundred signatures."""
        made = self.device.first_prekeys(NOW)
        self.device.mark_published()
        return made

    @property
    def idfp(self) -> bytes:
        return self.identity.idfp

    @property
    def record(self) -> bytes:
        return self.identity.record

    @property
    def address(self) -> DeviceAddress:
        return DeviceAddress(uid=self.uid, did=self.device.did, idfp=self.idfp)

    @property
    def sender(self) -> SenderAddress:
        return SenderAddress(uid=self.uid, did=self.device.did, idfp=self.idfp, dl_ver=self.list.ver)

    def add_device(self) -> DeviceKeys:
        device = DeviceKeys.create(self.uid)
        self.take(self.identity.add_device(self.list, device.card(self.idfp, NOW), NOW))
        return device

    def remove_device(self, did: bytes) -> None:
        self.take(self.identity.remove_device(self.list, did, NOW))

    def take(self, signed: Signed) -> None:
        self.list = check_next_list(self.list.body, signed, self.record)
        self.signed_list = signed

    def sign_list(self, **changes: object) -> Signed:
        """A list with a valid signature and whatever fields a test wants."""
        fields = {name: getattr(self.list.list, name) for name in DeviceList.__struct_fields__}
        body = encode_device_list(DeviceList(**{**fields, **changes}))
        return Signed(body, self.identity.sign(Ctx.DEVICE_LIST, body))

    def following(self, **changes: object) -> Signed:
        """As `sign_list`, with version and predecessor of the list that follows."""
        return self.sign_list(**{"ver": self.list.ver + 1, "prev": device_list_hash(self.list.body), **changes})


def envelope(
    ana: Person,
    bruno: Person,
    content: bytes = b"x",
    *,
    peer: OlmPeer | None = None,
    new_session: bool = True,
    kind: str = "room_key",
    key: int = 0,
    **changes: object,
) -> SealedEnvelope:
    """Ana's device seals something for Bruno's."""
    listed = bruno.list.find(bruno.device.did)
    assert listed is not None
    assert bruno.prekeys.pq is not None
    pq = verify_pq_prekey(bruno.prekeys.pq, uid=bruno.uid, device=listed, now_ms=NOW)
    one_time = verify_one_time_key(bruno.prekeys.one_time[key], uid=bruno.uid, device=listed)
    arguments: dict[str, object] = {
        "sender": ana.sender,
        "recipient": bruno.address,
        "listed": listed,
        "pq": pq,
        "one_time": one_time.key if new_session else None,
        "type": kind,
        "content": content,
        "mid": os.urandom(16),
        "now_ms": NOW,
        **changes,
    }
    return seal_to_device(ana.device, peer or OlmPeer.new(listed.did, listed.curve25519), **arguments)  # type: ignore[arg-type]


@dataclass
class Facts:
    """Replay facts in memory."""

    hashes: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    mids: dict[tuple[bytes, bytes, bytes], bytes] = field(default_factory=dict)

    def ciphertext_hash(self, session_id: bytes, index: int) -> bytes | None:
        return self.hashes.get((session_id, index))

    def seen_mid(self, chat_id: bytes, uid: bytes, mid: bytes) -> bytes | None:
        return self.mids.get((chat_id, uid, mid))


class DirectChat:
    """Ana's session in her chat with Bruno, and what Bruno has of it."""

    def __init__(self, ana: Person, bruno: Person) -> None:
        self.ana, self.bruno = ana, bruno
        self.chat_id = direct_chat_id(SERVER, ana.uid, bruno.uid)
        self.state: MembershipState = start_direct(self.chat_id, SERVER, ana.uid, bruno.uid)
        self.outbound = OutboundSession.create(
            ana.device, chat_id=self.chat_id, head=self.state.head, dl_ver=ana.list.ver, now_ms=NOW
        )
        self.inbound = self.share()
        self.facts = Facts()

    def share(self) -> InboundSession:
        room_key = decode_room_key(self.outbound.room_key())
        return InboundSession.from_room_key(room_key, verify_binding(room_key.skb, author=self.ana.list))

    def draft(self, text: str = "hola", **changes: object) -> Draft:
        fields: dict[str, object] = {
            "type": "text",
            "mid": os.urandom(16),
            "body": text_body(text),
            "head": self.state.head,
            **changes,
        }
        return Draft(**fields)  # type: ignore[arg-type]

    @property
    def member_at(self) -> Callable[[MembershipHead, bytes, int], bool | None]:
        return lambda head, uid, dl_ver: self.state.may_write(uid, dl_ver) if head == self.state.head else None
