"""Envelopes, sessions, messages, membership, backups and files: docs/protocol/e2ee.md §5 to §8 and §10."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from tests.attacks.canary import device_secrets
from tests.second.document import record
from tests.second.encoding import cat, h, hkdf, mac, padme, read, signature_input, u32, u64, unpad, unseal
from tests.second.olm import GroupSession, PreKeyMessage
from tests.second.vectors import (
    BACKUP,
    CHAT,
    COMPUTED,
    DID,
    GROUPS,
    PROFILES,
    SERVER,
    SESSION,
    A,
    B,
    frozen,
    sealed,
)

CHUNK = 65_536


def keys_of_bruno() -> dict[str, bytes]:
    """The private halves that the sealed vectors were made with; how a program stores them is its own matter."""
    return device_secrets(sealed("device_bruno"))


def hybrid(keys: dict[str, bytes]) -> MLKEM768X25519PrivateKey:
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(keys["hybrid seed 1"]),
        X25519PrivateKey.from_private_bytes(keys["hybrid x25519 1"]),
    )


def private_half(keys: dict[str, bytes], public: bytes) -> bytes:
    """Of the pairs of an Olm account, the one whose public half this is."""
    for secret in keys.values():
        if len(secret) == 32 and X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw() == public:
            return secret
    raise AssertionError("no such key")


def opened_envelope() -> tuple[dict[str, object], dict[str, object]]:
    """HPKE, then Olm, then padding: the outer and the inner of the frozen envelope."""
    keys = keys_of_bruno()
    listed = record("device_list", record("signed", sealed("list_bruno"))["body"])
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = h("to-device", listed["uid"], listed["devices"][0]["did"], u32(1))
    outer = record("to_device_outer", suite.decrypt(sealed("envelope"), hybrid(keys), info))
    first = PreKeyMessage.parse(outer["olm"])
    assert first.identity == outer["curve25519"]
    plain = first.open(
        identity=private_half(keys, listed["devices"][0]["curve25519"]), one_time=private_half(keys, first.one_time)
    )
    return outer, record("to_device", unpad(plain, to_device=True))


def test_an_envelope_opens_and_names_both_ends() -> None:
    outer, inner = opened_envelope()
    ana = record("device_list", record("signed", sealed("list_ana"))["body"])
    bruno = record("device_list", record("signed", sealed("list_bruno"))["body"])
    assert inner["t"] == "room_key"
    assert inner["sender"] == {"uid": ana["uid"], "did": outer["did"], "idfp": ana["idfp"], "dl_ver": ana["ver"]}
    assert inner["recipient"] == {"uid": bruno["uid"], "did": bruno["devices"][0]["did"], "idfp": bruno["idfp"]}
    assert outer["curve25519"] == ana["devices"][0]["curve25519"]


def test_the_session_key_in_it_opens_the_message() -> None:
    ana = record("device_list", record("signed", sealed("list_ana"))["body"])
    content = opened_envelope()[1]["c"]
    assert isinstance(content, bytes)
    room_key = record("room_key", content)
    skb = record("skb", room_key["skb"]["body"])
    device = Ed25519PublicKey.from_public_bytes(ana["devices"][0]["ed25519"])
    device.verify(room_key["skb"]["sig"], signature_input("megolm-bind", room_key["skb"]["body"]))
    session = GroupSession.parse(room_key["session_key"])
    assert session.public == skb["session_id"]
    outer = record("outer", sealed("outer"))
    index, padded = session.open(outer["ct"])
    inner = record("inner", unpad(padded))
    assert index == outer["idx"] == room_key["first_index"] == 0
    for same in ("chat_id", "session_id", "mid"):
        assert inner[same] == outer[same]
    assert (inner["uid"], inner["did"], inner["chat_id"]) == (skb["uid"], skb["did"], skb["chat_id"])
    assert (inner["t"], inner["body"][:1]) == ("text", b"\0")
    assert record("text", inner["body"][1:]) == {"text": "hola desde el pasado"}
    assert room_key["gpk"] == b"g" * 32


def test_what_binds_a_blob_to_its_recipient() -> None:
    assert h("to-device", A, DID, u32(7)) == frozen("envelope_info")


def test_a_body_that_is_not_compressed() -> None:
    assert frozen("body") == b"\0text"


# ------------------------------------------------------------------------------------------------ membership


def state(rows: list[tuple[bytes, bytes, str, int]], timer: int, profile: int) -> bytes:
    """H("member-state", rows as msgpack, timer u32, profile version u64), for rows that fit into short forms."""
    packed = bytes([0x90 | len(rows)])
    for uid, idfp, role, floor in rows:
        packed += b"\x94\xc4\x10" + uid + bytes([0xC4, len(idfp)]) + idfp
        packed += bytes([0xA0 | len(role)]) + role.encode() + bytes([floor])
    return h("member-state", packed, u32(timer), u64(profile))


def test_a_direct_chat_follows_from_its_two_people() -> None:
    chat = h("direct", b"direct/1", SERVER, A, B)
    head = record("mhead", frozen("direct_head"))
    assert chat == frozen("direct_chat_id")
    assert (head["seq"], head["hash"]) == (0, chat)
    assert head["state"] == state([(A, b"", "member", 0), (B, b"", "member", 0)], 0, 0)


def test_a_group_is_named_by_its_first_event() -> None:
    create = record("member_event", frozen("create"))
    assert (create["type"], create["seq"], create["chat_id"], create["prev"]) == ("create", 1, bytes(32), bytes(32))
    assert h("chat", frozen("create")) == frozen("group_chat_id")
    assert h("member-event", frozen("create")) == frozen("event_hash")


def test_a_group_s_name_opens_under_its_key() -> None:
    plain = unseal(bytes(range(32)), "group-profile", bytes.fromhex(GROUPS["sealed_profile"]), CHAT, u64(3))
    assert record("group_profile", unpad(plain))["name"] == "Excursión"


def test_a_person_s_profile_opens_under_the_key_that_was_told_and_has_the_hash_that_was_told() -> None:
    told, sealed_profile = (
        record("profile_key", PROFILES["profile_key"]),
        bytes.fromhex(PROFILES["sealed_user_profile"]),
    )
    assert sha256(sealed_profile).digest() == told["hash"]
    plain = unseal(told["key"], "user-profile", sealed_profile, A, u64(told["ver"]))
    assert record("user_profile", unpad(plain))["name"] == "Ana Pérez"


# --------------------------------------------------------------------------------------------------- backups


def backup_row(name: str) -> tuple[bytes, int, bytes]:
    row_id, counter, blob = BACKUP["sealed"][name].split()
    return bytes.fromhex(row_id), int(counter), bytes.fromhex(blob)


@pytest.mark.parametrize("name", ["session", "page", "head", "setting"])
def test_a_row_of_the_backup_opens_in_its_place(name: str) -> None:
    key, label = {
        "session": (b"b" * 32, "backup-row"),
        "page": (b"s" * 32, "backup-page"),
        "head": (b"s" * 32, "backup-head"),
        "setting": (b"s" * 32, "setting-row"),
    }[name]
    row_id, counter, blob = backup_row(name)
    plain = unseal(key, label, blob, A, u64(3), row_id, u64(counter))
    plain = unpad(plain) if name == "setting" else plain
    assert plain.hex() == BACKUP["computed"][name]


def test_ids_of_rows_and_their_counters() -> None:
    backup, setting = hkdf(b"b" * 32, b"id"), hkdf(b"s" * 32, b"id")
    ids = {
        "session": mac(backup, cat(CHAT, SESSION)),
        "page": mac(setting, cat(b"page", DID, u32(2))),
        "head": mac(setting, cat(b"head", DID)),
        "setting": mac(setting, cat(b"setting", b"contact:61")),
    }
    for name, full in ids.items():
        assert full[:16].hex() == BACKUP["computed"][f"id.{name}"]
        assert backup_row(name)[0] == full[:16]
    assert 2**40 + 2**32 - 1 - 4 == int(BACKUP["computed"]["counter"]) == backup_row("session")[1]


# ----------------------------------------------------------------------------------------------------- files


def test_a_file() -> None:
    """What the first chunk and the last tag of the frozen ciphertext must be, made again from the document."""
    data = bytes(range(250)) * 280
    described = h("file-metadata", "día.jpg".encode(), b"image/jpeg", u64(len(data)))
    ad = h("file", u32(1), u32(CHUNK), described)
    padded = data + bytes(max(4096, padme(len(data))) - len(data))
    chunks = [padded[at : at + CHUNK] for at in range(0, len(padded), CHUNK)]
    ciphertext = b"".join(
        ChaCha20Poly1305(b"k" * 32).encrypt(bytes(7) + u32(i) + bytes([i == len(chunks) - 1]), chunk, ad)
        for i, chunk in enumerate(chunks)
    )
    assert ad == frozen("file.ad")
    assert ciphertext[:64] == frozen("file.first_bytes")
    assert ciphertext[-16:] == frozen("file.last_tag")
    assert sha256(ciphertext).digest() == frozen("file.ciphertext_sha256")


def test_lengths_of_files() -> None:
    for name, length in COMPUTED.items():
        if name.startswith("file.sealed_size."):
            padded = max(4096, padme(int(name.rpartition(".")[2])))
            assert padded + 16 * -(-padded // CHUNK) == int(length)


def test_an_old_list_of_records_reads_as_one_value() -> None:
    """Read markers are arrays inside a map: one whole and one nested form in a vector of its own."""
    assert read(frozen("read")) == {"markers": [[frozen("direct_chat_id"), 4]]}
