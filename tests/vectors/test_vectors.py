"""The formats are frozen: what an older program wrote must be read, and the same inputs give the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.message import OpenedMessage, open_message, parse_text
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.crypto.sender import OutboundSession, decode_room_key, verify_binding
from mensajeria.crypto.todevice import open_inner, open_outer
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_array
from mensajeria.protocol.devices import VerifiedList, verify_device_list
from mensajeria.protocol.records import DeviceAddress, Signed
from mensajeria.protocol.succession import verify_succession
from tests.crypto.people import NOW, Facts
from tests.vectors import vectors

pytestmark = pytest.mark.as_shipped
FROZEN: dict[str, str] = json.loads((vectors.HERE / "computed.json").read_text(encoding="utf-8"))
SEALED: dict[str, Any] = json.loads((vectors.HERE / "sealed.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def computed() -> dict[str, str]:
    return vectors.computed()


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_the_same_inputs_give_the_same_bytes(computed: dict[str, str], name: str) -> None:
    assert computed[name] == FROZEN[name]


def test_every_vector_is_frozen(computed: dict[str, str]) -> None:
    assert computed.keys() == FROZEN.keys()


def raw(name: str) -> bytes:
    return bytes.fromhex(SEALED[name])


def verified(name: str) -> VerifiedList:
    signed = decode_array(Signed, raw(f"list_{name}"), max_size=1 << 16)
    return verify_device_list(signed, raw(f"record_{name}"), uid=raw(f"uid_{name}"))


def test_an_old_envelope_opens() -> None:
    ana, bruno = verified("ana"), verified("bruno")
    device = DeviceKeys.load(Secret(raw("device_bruno")))
    me = DeviceAddress(uid=bruno.uid, did=device.did, idfp=bruno.idfp)
    outer = open_outer(device, 1, raw("envelope"))
    opened = open_inner(device, outer, sender=ana, me=me, peer=None, now_ms=NOW)
    room_key = decode_room_key(opened.message.c)
    session = InboundSession.from_room_key(room_key, verify_binding(room_key.skb, author=ana))
    assert session.session_id == InboundSession.load(Secret(raw("inbound"))).session_id
    assert room_key.gpk == b"g" * 32


def test_an_old_message_opens() -> None:
    session = InboundSession.load(Secret(raw("inbound")))
    opened = open_message(raw("outer"), session, chat_id=raw("chat_id"), facts=Facts(), member_at=lambda *_: True)
    assert isinstance(opened, OpenedMessage)
    assert parse_text(opened.body) == "hola desde el pasado"
    assert OutboundSession.load(Secret(raw("outbound"))).index == 1


def test_an_old_account_opens() -> None:
    uid, code = raw("uid_ana"), RecoveryCode.parse(SEALED["recovery_code"])
    by_code = AccountRoot.unwrap_recovery(raw("wrap_recovery"), uid=uid, code=code)
    by_password = AccountRoot.unwrap_password(raw("wrap_password"), uid=uid, export_key=Secret(b"e" * 64))
    for root in (by_code, by_password):
        assert root.backup_key(1) == Secret(raw("backup_key"))
        assert root.identity(uid, code.public).record == raw("record_ana")
    assert verify_succession(raw("succession")).old_idfp == verified("ana").idfp
