"""What key classes show of themselves: nothing that is secret, whatever prints them."""

from __future__ import annotations

import base64

import msgspec

from mensajeria.crypto.hpke import HybridPrivateKey
from mensajeria.crypto.message import seal_message
from mensajeria.crypto.password import LoginStart, RegistrationStart
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.codec import ChannelKeys
from tests.crypto.people import NOW, DirectChat, Person, envelope


def test_reprs_of_key_classes() -> None:
    ana, bruno = Person("ana", b"a" * 16), Person("bruno", b"b" * 16)
    assert ana.prekeys.pq is not None
    chat = DirectChat(ana, bruno)
    did, session = ana.device.did.hex(), chat.outbound.session_id.hex()
    word = Secret(b"pw" * 32)
    shown = {
        repr(ana.code): "RecoveryCode(***)",
        repr(ana.root): "AccountRoot(***, root_ver=1)",
        repr(ana.identity): f"Identity(uid={'61' * 16}, ***)",
        repr(ana.device): f"DeviceKeys(did={did}, ***)",
        repr(ana.device.private_prekey(1)): "HybridPrivateKey(***)",
        repr(chat.outbound): f"OutboundSession({session}, ***)",
        repr(chat.inbound): f"InboundSession({session}, ***)",
        repr(LoginStart(word)): "LoginStart(…)",
        repr(RegistrationStart(word)): "RegistrationStart(…)",
        repr(ChannelKeys.derive(b"k" * 32, b"", b"")): "ChannelKeys(…)",
    }
    for got, expected in shown.items():
        assert got == expected


def test_no_value_shows_a_pickle_or_a_plaintext() -> None:
    ana, bruno = Person("ana"), Person("bruno")
    chat = DirectChat(ana, bruno)
    sealed = envelope(ana, bruno, b"canary-canary")
    message = seal_message(chat.outbound, chat.draft("canary-canary"), now_ms=NOW, epoch=0)
    pickles = [session.pickle for session in sealed.peer.sessions]
    for value in (sealed, sealed.peer, message, chat.draft("canary-canary"), *sealed.peer.sessions):
        text = repr(value)
        assert "canary" not in text
        assert not any(pickle in text for pickle in pickles)


def test_secrets_of_records_stay_in_their_classes() -> None:
    code, root, key = RecoveryCode.generate(), AccountRoot.generate(), HybridPrivateKey.generate()
    for value, secret in ((code, code.wrap_key()), (root, root.backup_key(1)), (key, key.material)):
        raw = secret.reveal()
        for form in (raw.hex(), base64.b64encode(raw).decode(), repr(raw)):
            assert form not in f"{value!r} {value} {msgspec.json.encode(repr(value)).decode()}"
