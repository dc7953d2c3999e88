"""Frames, REST, the key log, links and codes: docs/protocol/e2ee.md §10 to §12."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

from tests.second.document import record, shaped
from tests.second.encoding import cat, h, hkdf, mac, read, u32, u64
from tests.second.vectors import COMPUTED, DID, MID, NOW, SERVER, A, B, frozen

NONCE_C, NONCE_S = b"1" * 32, b"2" * 32
CK = hkdf(b"k" * 64, b"channel")


def opened(frame: bytes, direction: str, seq: int) -> tuple[int, object]:
    """tag(32) ‖ u8 type ‖ u64 seq ‖ u32 len ‖ body under the key of that direction."""
    key = hkdf(CK, b"frame|" + direction.encode(), NONCE_C + NONCE_S)
    tag, rest = frame[:32], frame[32:]
    assert hmac.compare_digest(tag, mac(key, h("conn", NONCE_C, NONCE_S), direction.encode(), rest))
    assert rest[1:9] == u64(seq)
    assert rest[9:13] == u32(len(rest) - 13)
    return rest[0], read(rest[13:])


def of_text(text: str, prefix: str) -> object:
    assert text.startswith(prefix)
    coded = text.removeprefix(prefix)
    return read(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))


def test_the_channel_key_and_the_transcript() -> None:
    assert frozen("channel_key") == CK
    assert h("opaque", b"1", b"2", b"3") == frozen("transcript")


def test_frames_verify_in_their_direction_and_order() -> None:
    chat = b"c" * 32
    assert opened(frozen("frame.cursor"), "c", 1) == (14, [chat, 9])
    assert opened(frozen("frame.ping"), "c", 2) == (18, [1])
    assert opened(frozen("frame.batch"), "s", 1) == (8, [[[3, chat, 1, NOW, 0, b"body"]]])


def read_deep(value: object) -> list[object]:
    """Every value inside."""
    return [inner for one in value for inner in read_deep(one)] if isinstance(value, list) else [value]


def test_the_first_frames_have_no_tag_and_the_welcome_proves_the_key() -> None:
    hello, welcome = frozen("hello"), frozen("welcome")
    for frame, kind in ((hello, 1), (welcome, 2)):
        assert frame[:32] == bytes(32)
        assert (frame[32], frame[33:41]) == (kind, u64(0))
    server_id, epoch, nonce, proof = (one for one in read_deep(read(welcome[45:])))
    assert (server_id, nonce) == (SERVER, NONCE_S)
    assert isinstance(epoch, int)
    key = hkdf(CK, b"frame|s", NONCE_C + NONCE_S)
    assert proof == mac(key, cat(b"hello", NONCE_C, NONCE_S, DID, SERVER, u64(epoch)))


def test_the_mac_of_a_rest_call() -> None:
    message = cat(b"POST", b"/v1/x", sha256(b"{}").digest(), u64(7))
    tag = base64.urlsafe_b64encode(mac(hkdf(CK, b"rest"), message)).rstrip(b"=").decode()
    assert COMPUTED["rest_mac"] == f"7.{tag}"


def test_messages_of_a_login_are_arrays() -> None:
    assert read(frozen("auth.check_handle"))[1] == "ana"
    assert SERVER in read(frozen("auth.server_info"))


# ------------------------------------------------------------------------------------------------ the key log


def test_leaves_and_heads_of_the_key_log() -> None:
    leaf = record("leaf", frozen("leaf"))
    head = record("tree_head", frozen("tree_head"))
    assert leaf["label"] == h("kt-uid", A)
    assert leaf["value_hash"] == h("kt-uid-value", b"r", b"l")
    assert (leaf["ver"], leaf["prev_idx"]) == (1, -1)
    assert sha256(b"\0" + frozen("leaf")).digest() == frozen("leaf_hash") == head["root"]
    assert head["log_id"] == h("kt-log", b"k" * 32)
    assert h("kt-handle", SERVER, b"ana") == frozen("handle_label")
    assert h("kt-handle-value", A) == frozen("handle_value")


# --------------------------------------------------------------------------------------------- links and codes


def test_an_invite_s_link_and_what_its_reader_proves() -> None:
    link = shaped("invite_link", of_text(COMPUTED["invite_link"], "mensajeria://join#"))
    proof = record("invite_proof", frozen("invite_proof"))
    assert (link["url"], link["server_id"], link["uid"]) == ("https://chat.example.org", SERVER, A)
    assert proof["invite"] == h("invite-id", link["token"])[:16]
    assert proof["mac"] == mac(link["secret"], cat(b"2" * 32, link["idfp"]))


def test_a_verification_code() -> None:
    code = shaped("verification_code", of_text(COMPUTED["verification_code"], "mensajeria-verify:"))
    assert code == {
        "v": 1,
        "server_id": SERVER,
        "uid": A,
        "idfp": b"1" * 32,
        "nonce": MID,
        "size": 7,
        "root": b"r" * 32,
    }


def test_the_commitment_of_an_emoji_comparison() -> None:
    people = (A, DID, b"1" * 32, B, MID, b"2" * 32)
    assert h("sas-commit", MID, *people, b"k" * 32) == frozen("sas_commitment")
