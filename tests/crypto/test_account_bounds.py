"""What an account's keys are derived from, and which devices its list refuses."""

from __future__ import annotations

import os

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.identity import TooManyDevicesError
from mensajeria.crypto.recovery import RecoveryCode, RecoveryCodeError
from mensajeria.crypto.root import AccountRoot, WrapError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.membership import decode_member_event
from mensajeria.protocol.prekeys import PrekeyError, verify_device_login, verify_fallback_key, verify_pq_prekey
from mensajeria.protocol.records import DeviceLogin, MemberEvent, PqPrekey
from mensajeria.protocol.signing import BadSignatureError, Ctx, verify_ed25519
from tests.crypto.people import NOW, SERVER, Person
from tests.second.encoding import cat, hkdf, read, u64, unseal


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


def test_the_settings_key_is_that_of_the_document() -> None:
    root = AccountRoot.generate()
    info = (8).to_bytes(4, "big") + b"settings" + (8).to_bytes(4, "big") + (3).to_bytes(8, "big")
    key = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(root._secret.reveal())
    assert root.settings_key(3).reveal() == key
    assert root.settings_key(4).reveal() != key


@pytest.mark.parametrize("same", ["did", "ed25519", "curve25519"])
def test_a_device_with_a_known_id_or_key_is_not_listed_again(ana: Person, same: str) -> None:
    card = DeviceKeys.create(ana.uid).card(ana.idfp, NOW)
    first = ana.list.list.devices[0]
    taken = {"did": first.did, "ed25519": first.ed25519, "curve25519": first.curve25519}
    mine = ana.device.card(ana.idfp, NOW)
    changed = type(card)(**{**{name: getattr(card, name) for name in fields_of(card)}, same: taken[same]})
    assert getattr(mine, same) == taken[same]
    with pytest.raises(ValueError, match="before"):
        ana.identity.add_device(ana.list, changed, NOW)


def fields_of(card: object) -> list[str]:
    return list(getattr(card, "__struct_fields__", None) or getattr(type(card), "__dataclass_fields__", {}))


def test_an_account_holds_exactly_as_many_devices_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bea = Person("bea")
    monkeypatch.setattr(limits, "MAX_DEVICES", 2)
    bea.add_device()
    with pytest.raises(TooManyDevicesError):
        bea.add_device()


def test_a_device_logs_in_as_itself_to_one_server_with_one_transcript(ana: Person) -> None:
    signed = ana.device.login(SERVER, b"t" * 32)
    device = ana.list.list.devices[0]
    verify_device_login(signed, server_id=SERVER, uid=ana.uid, device=device, transcript=b"t" * 32)
    assert decode_record(DeviceLogin, signed.body).did == ana.device.did
    for server, uid, transcript in (
        (b"x" * 16, ana.uid, b"t" * 32),
        (SERVER, b"x" * 16, b"t" * 32),
        (SERVER, ana.uid, b"x" * 32),
    ):
        with pytest.raises(BadSignatureError):
            verify_device_login(signed, server_id=server, uid=uid, device=device, transcript=transcript)
    other = msgspec.structs.replace(device, did=os.urandom(16))
    with pytest.raises(BadSignatureError):
        verify_device_login(signed, server_id=SERVER, uid=ana.uid, device=other, transcript=b"t" * 32)


def test_a_membership_event_is_signed_as_one(ana: Person) -> None:
    event = MemberEvent(
        chat_id=bytes(32), seq=1, prev=bytes(32), by_uid=ana.uid, by_did=ana.device.did, dl_ver=1, type="timer", ts=NOW
    )
    signed = ana.device.member_event(event)
    verify_ed25519(ana.device.ed25519, Ctx.MEMBER_EVENT, signed.body, signed.sig)
    assert decode_member_event(signed.body) == event


def test_the_first_prekeys_have_a_fallback(ana: Person) -> None:
    assert ana.prekeys.fallback is not None
    verify_fallback_key(ana.prekeys.fallback, uid=ana.uid, device=ana.list.list.devices[0])


def test_the_former_root_lies_under_the_key_of_the_document(ana: Person) -> None:
    following, sealed = ana.root.rotate(ana.uid)
    key = hkdf(following._secret.reveal(), b"prev")
    ids = (ana.uid, u64(following.root_ver))
    assert unseal(key, "account-root-prev", sealed, *ids) == ana.root._secret.reveal()


def test_a_device_s_first_hybrid_prekey_may_have_any_number(ana: Person) -> None:
    """Nothing was seen of it before."""
    assert ana.prekeys.pq is not None
    listed = ana.list.list.devices[0]
    prekey = msgspec.structs.replace(decode_record(PqPrekey, ana.prekeys.pq.body), prekey_id=0)
    signed = ana.device.sign(Ctx.PQ_PREKEY, encode(prekey))
    assert verify_pq_prekey(signed, uid=ana.uid, device=listed, now_ms=NOW).prekey_id == 0
    with pytest.raises(PrekeyError):
        verify_pq_prekey(signed, uid=ana.uid, device=listed, now_ms=NOW, newest_id=1)


def test_what_follows_from_a_root_is_the_documents(ana: Person) -> None:
    secret = ana.root._secret.reveal()
    record = decode_identity(ana.root.identity(ana.uid, ana.code.public).record)
    signing = Ed25519PrivateKey.from_private_bytes(hkdf(secret, b"identity-ed25519"))
    quantum = MLDSA65PrivateKey.from_seed_bytes(hkdf(secret, b"identity-mldsa"))
    assert record.ed25519 == signing.public_key().public_bytes_raw()
    assert record.mldsa == quantum.public_key().public_bytes_raw()
    assert ana.root.backup_key(3).reveal() == hkdf(secret, cat(b"backup", u64(3)))


def test_a_root_is_wrapped_under_the_keys_of_the_document_and_keeps_its_version(ana: Person) -> None:
    following, _ = ana.root.rotate(ana.uid)
    export_key = os.urandom(64)
    keys = {"opaque": hkdf(export_key, b"account-wrap"), "recovery": ana.code.wrap_key().reveal()}
    wraps = {
        "opaque": following.wrap_password(ana.uid, Secret(export_key)),
        "recovery": following.wrap_recovery(ana.uid, ana.code),
    }
    for method, wrap in wraps.items():
        fields = read(wrap)
        ids = (ana.uid, u64(2), method.encode())
        assert unseal(keys[method], "account-wrap", fields["salt"] + fields["ct"], *ids) == following._secret.reveal()
    assert AccountRoot.unwrap_password(wraps["opaque"], uid=ana.uid, export_key=Secret(export_key)).root_ver == 2
    assert AccountRoot.unwrap_recovery(wraps["recovery"], uid=ana.uid, code=ana.code).root_ver == 2


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_root_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(WrapError):
        AccountRoot(Secret(bytes(size)), 1)


def test_a_new_root_has_the_version_that_was_asked_for() -> None:
    one, two = AccountRoot.generate(), AccountRoot.generate(7)
    assert (one.root_ver, two.root_ver) == (1, 7)
    assert one.backup_key(1) != two.backup_key(1)


@pytest.mark.parametrize("size", [0, 19, 21])
def test_a_recovery_code_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(RecoveryCodeError):
        RecoveryCode(Secret(bytes(size)))


def test_a_recovery_code_is_read_among_spaces_up_to_the_limit() -> None:
    text = RecoveryCode.generate().text
    assert RecoveryCode.parse(text.ljust(256)).text == text
    with pytest.raises(RecoveryCodeError):
        RecoveryCode.parse(text.ljust(257))


def test_a_recovery_code_s_text_is_the_documents() -> None:
    """Crockford's base 32, and the number modulo 37 as his check character."""
    value = bytes(range(100, 120))
    number, alphabet = int.from_bytes(value, "big"), "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    chars = "".join(alphabet[int(f"{number:0160b}"[at : at + 5], 2)] for at in range(0, 160, 5))
    groups = [chars[at : at + 4] for at in range(0, 32, 4)]
    expected = "-".join([*groups, f"{alphabet}*~$=U"[number % 37]])
    assert RecoveryCode(Secret(value)).text == expected
    assert RecoveryCode.parse(expected).wrap_key() == RecoveryCode(Secret(value)).wrap_key()


def test_a_recovery_code_s_keys_are_the_documents() -> None:
    value = os.urandom(20)
    code = RecoveryCode(Secret(value))
    signer = Ed25519PrivateKey.from_private_bytes(hkdf(value, b"recovery-authority"))
    assert code.public == signer.public_key().public_bytes_raw()
    assert code.wrap_key().reveal() == hkdf(value, b"recovery-wrap")
    verify_ed25519(code.public, Ctx.RECOVERY_LOGIN, b"x", code.sign(Ctx.RECOVERY_LOGIN, b"x"))
