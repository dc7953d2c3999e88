from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import vodozemac
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.body import BodyError, pack_body, unpack_body
from mensajeria.crypto.device import StateError
from mensajeria.crypto.inbound import InboundSession, UnknownIndexError
from mensajeria.crypto.message import (
    Draft,
    MessageCause,
    MessageTooLargeError,
    OpenedMessage,
    RefusedMessage,
    decode_outer,
    delete_hash,
    delete_key,
    delete_token,
    open_message,
    parse_text,
    seal_message,
    text_body,
)
from mensajeria.crypto.padding import pad_message
from mensajeria.crypto.sender import BindingError, OutboundSession, decode_room_key, must_rotate, verify_binding
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.devices import NewerListNeededError
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.membership import ChatKind
from mensajeria.protocol.records import MessageInner, MessageOuter, Reference, Signed
from mensajeria.protocol.signing import Ctx
from tests.crypto.people import DAY, NOW, DirectChat, Person
from tests.support.examples import examples


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person]:
    return Person("ana"), Person("bruno")


@pytest.fixture
def chat(people: tuple[Person, Person]) -> DirectChat:
    return DirectChat(*people)


def send(chat: DirectChat, draft: Draft | None = None) -> bytes:
    return seal_message(chat.outbound, draft or chat.draft(), now_ms=NOW, epoch=0).outer


def opened(chat: DirectChat, data: bytes, **changes: Any) -> OpenedMessage | RefusedMessage:
    arguments: dict[str, Any] = {
        "chat_id": chat.chat_id,
        "facts": chat.facts,
        "member_at": chat.member_at,
        "inbound": chat.inbound,
        **changes,
    }
    return open_message(data, **arguments)


def read(chat: DirectChat, data: bytes, **changes: Any) -> OpenedMessage:
    """Open and remember, as the store does."""
    got = opened(chat, data, **changes)
    assert isinstance(got, OpenedMessage), got
    chat.facts.hashes[got.inner.session_id, got.index] = got.ct_hash
    chat.facts.mids[got.inner.chat_id, got.inner.uid, got.inner.mid] = got.ct_hash
    return got


def forged(
    chat: DirectChat,
    change_inner: dict[str, Any] | None = None,
    pad: Callable[[bytes], bytes] = pad_message,
    **outer: object,
) -> bytes:
    """A message that the author's own ratchet really encrypted, with whatever inside."""
    binding = chat.outbound.binding
    inner: dict[str, Any] = {
        "t": "text",
        "chat_id": binding.chat_id,
        "uid": binding.uid,
        "did": binding.did,
        "session_id": binding.session_id,
        "mid": b"m" * 16,
        "ts": NOW,
        "mhead": chat.state.head,
        "body": pack_body(text_body("x"), compress=False),
        **(change_inner or {}),
    }
    index = chat.outbound.index
    ct = chat.outbound.encrypt(pad(encode(MessageInner(**inner))))
    fields: dict[str, Any] = {
        "v": 1, "suite": 1, "chat_id": binding.chat_id, "epoch": 0, "session_id": binding.session_id,
        "idx": index, "mid": b"m" * 16, "ct": ct, "del_hash": bytes(32), "ttl_bucket": 0, **outer,
    }  # fmt: skip
    return encode(MessageOuter(**fields))


# --- messages ---


def test_a_message_arrives(chat: DirectChat) -> None:
    draft = chat.draft("¡Hola, Bruno! 👋")
    sealed = seal_message(chat.outbound, draft, now_ms=NOW, epoch=3, del_hash=b"d" * 32)
    outer = decode_outer(sealed.outer)
    assert (outer.epoch, outer.idx, outer.mid, outer.del_hash) == (3, 0, draft.mid, b"d" * 32)
    assert chat.ana.uid not in sealed.outer
    got = read(chat, sealed.outer)
    assert parse_text(got.body) == "¡Hola, Bruno! 👋"
    assert (got.inner.uid, got.inner.did, got.index) == (chat.ana.uid, chat.ana.device.did, 0)
    assert not got.clock_off
    assert not got.unrotated


def test_the_stored_state_goes_on(chat: DirectChat) -> None:
    sealed = seal_message(chat.outbound, chat.draft("1"), now_ms=NOW, epoch=0)
    chat.outbound = OutboundSession.load(sealed.session)
    assert chat.outbound.index == 1
    for number in range(3):
        assert read(chat, send(chat, chat.draft(str(number)))).index == number + 1
    one, two = chat.outbound.dump(), chat.outbound.dump()
    assert one != two
    for bad in (b"", one.reveal()[:-1]):
        with pytest.raises(StateError):
            OutboundSession.load(Secret(bad))


def test_shown_once(chat: DirectChat) -> None:
    data = send(chat)
    read(chat, data)
    assert opened(chat, data) == RefusedMessage(MessageCause.DUPLICATE)


def test_one_ciphertext_for_each_index(chat: DirectChat) -> None:
    """A rolled-back author encrypts twice at one index: the second is not taken."""
    before = chat.outbound.dump()
    read(chat, send(chat))
    chat.outbound = OutboundSession.load(before)
    assert opened(chat, send(chat)) == RefusedMessage(MessageCause.REPLAYED_INDEX)


def test_one_message_for_each_mid(chat: DirectChat) -> None:
    mid = os.urandom(16)
    read(chat, send(chat, chat.draft("1", mid=mid)))
    assert opened(chat, send(chat, chat.draft("2", mid=mid))) == RefusedMessage(MessageCause.REPLAYED_MID)


OUTER_ATTACKS: dict[str, tuple[dict[str, Any], MessageCause]] = {
    "chat": ({"chat_id": b"x" * 32}, MessageCause.WRONG_CHAT),
    "session": ({"session_id": b"x" * 32}, MessageCause.WRONG_SESSION),
    "mid": ({"mid": b"x" * 16}, MessageCause.WRONG_MID),
    "index": ({"idx": 9}, MessageCause.INDEX_MISMATCH),
    "ciphertext": ({"ct": b"x" * 200}, MessageCause.BAD_CIPHERTEXT),
    "version": ({"v": 2}, MessageCause.NEWER_VERSION),
    "suite": ({"suite": 2}, MessageCause.NEWER_VERSION),
}


@pytest.mark.parametrize("name", OUTER_ATTACKS)
def test_the_outer_is_what_was_sealed(chat: DirectChat, name: str) -> None:
    changes, cause = OUTER_ATTACKS[name]
    assert opened(chat, forged(chat, **changes)) == RefusedMessage(cause)
    read(chat, forged(chat))


INNER_ATTACKS: dict[str, tuple[dict[str, Any], MessageCause]] = {
    "chat": ({"chat_id": b"x" * 32}, MessageCause.WRONG_CHAT),
    "session": ({"session_id": b"x" * 32}, MessageCause.WRONG_SESSION),
    "mid": ({"mid": b"x" * 16}, MessageCause.WRONG_MID),
    "user": ({"uid": b"x" * 16}, MessageCause.WRONG_AUTHOR),
    "device": ({"did": b"x" * 16}, MessageCause.WRONG_AUTHOR),
    "version": ({"v": 2}, MessageCause.NEWER_VERSION),
    "body flag": ({"body": b"\x07x"}, MessageCause.MALFORMED),
    "no body": ({"body": b""}, MessageCause.MALFORMED),
}


@pytest.mark.parametrize("name", INNER_ATTACKS)
def test_the_inner_must_say_the_same(chat: DirectChat, name: str) -> None:
    changes, cause = INNER_ATTACKS[name]
    assert opened(chat, forged(chat, changes)) == RefusedMessage(cause)


def test_padding_is_checked(chat: DirectChat) -> None:
    assert opened(chat, forged(chat, pad=lambda data: data)) == RefusedMessage(MessageCause.MALFORMED)
    assert opened(chat, forged(chat, pad=lambda data: pad_message(data) + bytes(64))) == RefusedMessage(
        MessageCause.MALFORMED
    )


def test_every_byte_of_the_ciphertext_counts(chat: DirectChat) -> None:
    outer = decode_outer(send(chat))
    for at in range(0, len(outer.ct), 5):
        ct = outer.ct[:at] + bytes([outer.ct[at] ^ 1]) + outer.ct[at + 1 :]
        got = opened(chat, encode(msgspec.structs.replace(outer, ct=ct)))
        assert isinstance(got, RefusedMessage), at


def test_a_row_of_another_chat(chat: DirectChat, people: tuple[Person, Person]) -> None:
    data = send(chat)
    assert opened(chat, data, chat_id=b"x" * 32) == RefusedMessage(MessageCause.WRONG_CHAT)
    other = DirectChat(people[1], people[0])
    assert opened(chat, data, inbound=other.inbound) == RefusedMessage(MessageCause.WRONG_SESSION)


def test_membership_at_the_authors_head(chat: DirectChat) -> None:
    data = send(chat)
    assert opened(chat, data, member_at=lambda *_: False) == RefusedMessage(MessageCause.NOT_MEMBER)
    unknown = msgspec.structs.replace(chat.state.head, seq=9)
    assert opened(chat, send(chat, chat.draft(head=unknown))) == RefusedMessage(MessageCause.UNKNOWN_HEAD)
    assert MessageCause.UNKNOWN_HEAD.may_open_later
    asked: list[tuple[object, ...]] = []
    opened(chat, data, member_at=lambda *arguments: asked.append(arguments))
    assert asked == [(chat.state.head, chat.ana.uid, 1)]


def test_marks(chat: DirectChat) -> None:
    data = send(chat)
    late = opened(chat, data, arrived_ms=NOW + DAY + 1, last_epoch_before=lambda seq: seq + 1)
    assert isinstance(late, OpenedMessage)
    assert late.clock_off
    assert late.unrotated


def test_an_unknown_type_is_kept(chat: DirectChat) -> None:
    got = read(chat, send(chat, chat.draft(type="hologram", body=b"\x01\x02")))
    assert (got.inner.t, got.body) == ("hologram", b"\x01\x02")


@examples(100)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    chat = _chat()
    assert isinstance(opened(chat, data), RefusedMessage)
    assert isinstance(opened(chat, forged(chat, ct=data or b"x")), RefusedMessage)


@examples(100)
@given(st.binary(max_size=300))
def test_any_plaintext_of_an_author_is_refused(data: bytes) -> None:
    chat = _chat()
    assert isinstance(opened(chat, forged(chat, pad=lambda _: pad_message(data))), RefusedMessage)
    assert isinstance(opened(chat, forged(chat, pad=lambda _: data)), RefusedMessage)


_chats: list[DirectChat] = []


def _chat() -> DirectChat:
    if not _chats:
        _chats.append(DirectChat(Person("ana"), Person("bruno")))
    return _chats[0]


# --- bodies ---


def test_large_bodies_are_compressed_but_never_quotes(chat: DirectChat) -> None:
    text = "la misma frase una y otra vez " * 200
    small = send(chat, chat.draft(text))
    quote = send(chat, chat.draft(text, refs=(Reference(b"u" * 16, b"m" * 16),)))
    assert len(small) < 1024 < len(text) < len(quote)
    for data in (small, quote):
        assert parse_text(read(chat, data).body) == text


@given(st.binary(max_size=3000), st.booleans())
def test_bodies_come_out_again(data: bytes, compress: bool) -> None:
    assert unpack_body(pack_body(data, compress=compress)) == data


@given(st.binary(max_size=200))
def test_any_body_is_data_or_the_declared_error(packed: bytes) -> None:
    for data in (packed, b"\x01" + packed, b"\x01\x28\xb5\x2f\xfd" + packed):
        try:
            assert len(unpack_body(data)) <= limits.MAX_DECOMPRESSED
        except BodyError:
            continue


def test_a_zip_bomb_does_not_unpack() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(limits.MAX_DECOMPRESSED + 1))
    assert len(bomb) < 200
    with pytest.raises(BodyError):
        unpack_body(b"\x01" + bomb)
    stream = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
    with pytest.raises(BodyError, match="declared"):
        unpack_body(b"\x01" + stream)
    with pytest.raises(BodyError):
        unpack_body(b"\x01" + zstandard.ZstdCompressor().compress(b"x" * 1000) + b"more")
    most = zstandard.ZstdCompressor().compress(bytes(limits.MAX_DECOMPRESSED))
    assert len(unpack_body(b"\x01" + most)) == limits.MAX_DECOMPRESSED


def test_texts_have_bounds(chat: DirectChat) -> None:
    assert parse_text(text_body("é" * 32768)) == "é" * 32768
    with pytest.raises(MessageTooLargeError):
        text_body("é" * 32769)
    with pytest.raises(ValueError, match="empty"):
        text_body("")
    with pytest.raises(MalformedError):
        parse_text(b"junk")
    before = chat.outbound.index
    with pytest.raises(MessageTooLargeError):
        seal_message(chat.outbound, chat.draft(body=os.urandom(260_000)), now_ms=NOW, epoch=0)
    assert chat.outbound.index == before


def test_delete_tokens() -> None:
    key = delete_key(Secret(b"s" * 32))
    token = delete_token(key, b"c" * 32, b"m" * 16)
    assert len(token) == len(delete_hash(token)) == 32
    assert token != delete_token(key, b"c" * 32, b"n" * 16)
    assert token != delete_token(delete_key(Secret(b"t" * 32)), b"c" * 32, b"m" * 16)


# --- bindings and inbound sessions ---


def test_a_binding_is_its_devices(chat: DirectChat) -> None:
    signed = chat.outbound.signed_binding
    assert verify_binding(signed, author=chat.ana.list) == chat.outbound.binding
    with pytest.raises(BindingError):
        verify_binding(signed, author=chat.bruno.list)
    with pytest.raises(BindingError):
        verify_binding(
            Signed(signed.body, chat.bruno.device.sign(Ctx.MEGOLM_BIND, signed.body).sig), author=chat.ana.list
        )
    with pytest.raises(BindingError):
        verify_binding(
            Signed(signed.body, chat.ana.device.sign(Ctx.MEMBER_EVENT, signed.body).sig), author=chat.ana.list
        )
    with pytest.raises(BindingError):
        verify_binding(Signed(b"junk", signed.sig), author=chat.ana.list)
    for changes in ({"did": b"x" * 16}, {"dl_ver": 0}, {"suite": 2}):
        body = encode(msgspec.structs.replace(chat.outbound.binding, **changes))
        with pytest.raises(BindingError):
            verify_binding(chat.ana.device.sign(Ctx.MEGOLM_BIND, body), author=chat.ana.list)
    body = encode(msgspec.structs.replace(chat.outbound.binding, dl_ver=2))
    with pytest.raises(NewerListNeededError):
        verify_binding(chat.ana.device.sign(Ctx.MEGOLM_BIND, body), author=chat.ana.list)


def test_a_room_key_is_of_its_session(chat: DirectChat, people: tuple[Person, Person]) -> None:
    room_key = decode_room_key(chat.outbound.room_key(b"g" * 32))
    assert room_key.gpk == b"g" * 32
    other = decode_room_key(DirectChat(*people).outbound.room_key())
    for bad in (
        {"session_key": other.session_key},
        {"session_key": room_key.session_key[:-1]},
        {"session_key": bytes(229)},
        {"first_index": 1},
    ):
        with pytest.raises(BindingError):
            InboundSession.from_room_key(msgspec.structs.replace(room_key, **bad), chat.outbound.binding)
    with pytest.raises(MalformedError):
        decode_room_key(b"junk")


def test_a_key_opens_nothing_from_before(chat: DirectChat) -> None:
    first = send(chat)
    late = chat.share()
    assert late.first_index == 1
    assert opened(chat, first, inbound=late) == RefusedMessage(MessageCause.UNKNOWN_INDEX)
    assert isinstance(opened(chat, send(chat), inbound=late), OpenedMessage)


def export(chat: DirectChat, index: int) -> InboundSession:
    data = chat.inbound.export_at(index)
    assert data is not None
    return InboundSession.from_export(data, chat.outbound.binding, chat.outbound.signed_binding)


def test_an_export_proves_itself_by_decrypting(chat: DirectChat) -> None:
    rows = [send(chat) for _ in range(3)]
    unproven = export(chat, 0)
    assert not unproven.proven
    assert unproven.export_at(1) is None
    got = opened(chat, rows[1], inbound=unproven)
    assert isinstance(got, OpenedMessage)
    assert got.session_changed
    assert got.inbound.export_at(0) is None
    assert got.inbound.export_at(1) is not None
    again = opened(chat, rows[2], inbound=got.inbound)
    assert isinstance(again, OpenedMessage)
    assert not again.session_changed


def poisoned(chat: DirectChat, index: int = 0) -> InboundSession:
    """An export with the right session's signing key and somebody else's ratchet."""
    real = chat.inbound.export_at(0)
    assert real is not None
    body = real[:1] + index.to_bytes(4, "big") + os.urandom(128) + real[133:]
    return InboundSession.from_export(body, chat.outbound.binding, chat.outbound.signed_binding)


def test_a_poisoned_export_never_displaces_the_signed_key(chat: DirectChat) -> None:
    rows = [send(chat) for _ in range(2)]
    late = chat.share()
    for merged in (late.merge(poisoned(chat)), poisoned(chat).merge(late)):
        assert merged.proven
        assert isinstance(opened(chat, send(chat), inbound=merged), OpenedMessage)
        assert opened(chat, rows[0], inbound=merged) == RefusedMessage(MessageCause.UNKNOWN_INDEX)
        healed = merged.merge(export(chat, 0))
        got = opened(chat, rows[0], inbound=InboundSession.load(healed.dump()))
        assert isinstance(got, OpenedMessage)


def test_only_a_few_unproven_are_kept(chat: DirectChat) -> None:
    first = send(chat)
    session = chat.share()
    for _ in range(10):
        session = session.merge(poisoned(chat))
    good = session.merge(export(chat, 0))
    assert isinstance(opened(chat, first, inbound=good), OpenedMessage)
    assert len(good.dump().reveal()) < 12_000


def test_the_longer_of_two_keys_stays(chat: DirectChat) -> None:
    first = send(chat)
    late = chat.share()
    for merged in (late.merge(chat.inbound), chat.inbound.merge(late)):
        assert merged.first_index == 0
        assert isinstance(opened(chat, first, inbound=merged), OpenedMessage)


def test_sessions_of_other_bindings_do_not_merge(chat: DirectChat, people: tuple[Person, Person]) -> None:
    with pytest.raises(BindingError):
        chat.inbound.merge(DirectChat(*people).inbound)
    for bad in (b"", bytes(165)):
        with pytest.raises(BindingError):
            InboundSession.from_export(bad, chat.outbound.binding, chat.outbound.signed_binding)
    with pytest.raises(StateError):
        InboundSession.load(Secret(b"junk"))


def test_an_index_that_no_ratchet_reaches(chat: DirectChat) -> None:
    data = decode_outer(send(chat))
    late = chat.share()
    with pytest.raises(UnknownIndexError):
        late.decrypt(vodozemac.MegolmMessage.from_bytes(data.ct))


# --- rotation ---


def test_when_a_session_is_renewed(chat: DirectChat) -> None:
    def due(**changes: Any) -> bool:
        arguments: dict[str, Any] = {"state": chat.state, "now_ms": NOW, "devices": 2, **changes}
        return must_rotate(chat.outbound, **arguments)

    assert not due()
    assert due(own_restore=True)
    assert due(state=replace(chat.state, epoch=1))
    assert due(state=replace(chat.state, timer_s=60))
    assert due(state=replace(chat.state, epoch=1), last_key_fetched=False)
    assert due(now_ms=NOW + 8 * 3600 * 1000)
    assert not due(now_ms=NOW + 8 * 3600 * 1000 - 1)
    assert not due(now_ms=NOW + DAY, last_key_fetched=False)
    group = replace(chat.state, kind=ChatKind.GROUP)
    assert not due(state=group, now_ms=NOW + DAY - 1, devices=64)
    assert due(state=group, now_ms=NOW + DAY, devices=64)
    assert not due(state=group, now_ms=NOW + DAY, devices=65)
    assert due(state=group, now_ms=NOW + 7 * DAY, devices=65)
    for _ in range(50):
        assert not due()
        send(chat)
    assert due()
    assert not due(state=group)
