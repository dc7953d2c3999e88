"""Received sessions: what is proven of them, what stays so in the store, and what two of them together are."""

from __future__ import annotations

import os

import pytest
import vodozemac

from mensajeria.crypto.inbound import InboundSession, MegolmError, UnknownIndexError, state_of_export
from mensajeria.crypto.sender import OutboundSession, decode_room_key
from tests.crypto.people import DirectChat, Person

BEYOND = 1 << 32


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person]:
    return Person("ana"), Person("bruno")


@pytest.fixture
def chat(people: tuple[Person, Person]) -> DirectChat:
    return DirectChat(*people)


def export(chat: DirectChat, index: int, *, forged: bool = False) -> InboundSession:
    """The session as somebody passes it on; `forged`: its signing key with another ratchet."""
    data = chat.inbound.export_at(index)
    assert data is not None
    if forged:
        data = data[:5] + os.urandom(128) + data[133:]
    return InboundSession.from_export(data, chat.outbound.binding, chat.outbound.signed_binding)


def row(chat: DirectChat) -> vodozemac.MegolmMessage:
    return vodozemac.MegolmMessage.from_bytes(chat.outbound.encrypt(b"hola"))


def message_at(chat: DirectChat, index: int) -> vodozemac.MegolmMessage:
    while chat.outbound.index < index:
        row(chat)
    return row(chat)


def damaged(chat: DirectChat) -> vodozemac.MegolmMessage:
    data = bytearray(chat.outbound.encrypt(b"hola"))
    data[-70] ^= 1
    return vodozemac.MegolmMessage.from_bytes(bytes(data))


def proved(session: InboundSession, message: vodozemac.MegolmMessage) -> InboundSession:
    got = session.decrypt(message)
    assert (got.plaintext, got.changed) == (b"hola", True)
    assert got.index == message.message_index()
    return got.session


def again(session: InboundSession) -> InboundSession:
    return InboundSession.load(session.dump())


def test_what_is_proven_stays_so_in_the_store(chat: DirectChat) -> None:
    row(chat)
    kept = again(proved(export(chat, 0), row(chat)))
    assert (kept.first_index, kept.proven_from, kept.proven) == (0, 1, False)
    assert (kept.export_at(0), kept.export_at(1)) == (None, chat.inbound.export_at(1))
    assert kept.signed_binding == chat.inbound.signed_binding


def test_a_signed_key_stays_signed_in_the_store(chat: DirectChat) -> None:
    kept = again(chat.inbound)
    assert (kept.proven, kept.proven_from, kept.export_at(0)) == (True, 0, chat.inbound.export_at(0))
    assert again(kept).signed_binding == chat.inbound.signed_binding


def test_an_export_comes_back_from_the_store_unproven(chat: DirectChat) -> None:
    kept = again(export(chat, 0))
    assert (kept.first_index, kept.proven, kept.proven_from, kept.export_at(0)) == (0, False, BEYOND, None)
    assert (kept.binding, kept.signed_binding) == (chat.outbound.binding, chat.outbound.signed_binding)
    assert proved(kept, row(chat)).proven_from == 0


def test_a_single_export_is_stored_as_it_came(chat: DirectChat) -> None:
    data = chat.inbound.export_at(2)
    assert data is not None
    assert export(chat, 2).dump() == state_of_export(data, chat.outbound.signed_binding)


def test_exports_that_stand_side_by_side_do_so_in_the_store(chat: DirectChat) -> None:
    both = export(chat, 0, forged=True).merge(export(chat, 1))
    assert [ratchet.first_index for ratchet in again(both)._ratchets] == [0, 1]
    assert again(both).decrypt(message_at(chat, 1)).plaintext == b"hola"


def test_an_export_is_proven_by_nothing_but_what_it_opens(chat: DirectChat) -> None:
    unproven = export(chat, 0)
    assert (unproven.proven, unproven.proven_from, unproven.export_at(5)) == (False, BEYOND, None)
    row(chat)
    message = row(chat)
    session = proved(unproven, message)
    assert session.proven_from == 1
    second = session.decrypt(message)
    assert second.session is session
    assert second.changed is False


def test_what_is_proven_nowhere_is_not_exported_from_there(chat: DirectChat) -> None:
    unproven = export(chat, 0)
    assert unproven.export_at(unproven.proven_from) is None


def test_an_earlier_row_proves_more(chat: DirectChat) -> None:
    first, second = row(chat), row(chat)
    session = proved(proved(export(chat, 0), second), first)
    assert session.proven_from == 0


def test_a_forged_export_takes_no_place_of_the_true_one(chat: DirectChat) -> None:
    message = row(chat)
    both = export(chat, 0, forged=True).merge(export(chat, 0))
    assert len(both._ratchets) == 2
    opened = proved(both, message)
    assert [ratchet.proven_from for ratchet in opened._ratchets] == [0, None]
    assert opened.signed_binding == chat.inbound.signed_binding


def test_only_what_vouches_for_an_index_calls_a_row_damaged(chat: DirectChat) -> None:
    with pytest.raises(MegolmError):
        chat.inbound.decrypt(damaged(chat))
    with pytest.raises(UnknownIndexError):
        export(chat, 0).decrypt(damaged(chat))
    message, bad = row(chat), damaged(chat)
    session = proved(export(chat, 0), message)
    with pytest.raises(MegolmError):
        session.decrypt(bad)
    same = bytearray(bytes(message.to_bytes()))
    same[-70] ^= 1
    with pytest.raises(MegolmError):
        session.decrypt(vodozemac.MegolmMessage.from_bytes(bytes(same)))


def test_a_row_before_the_first_index_is_unknown(chat: DirectChat) -> None:
    message = row(chat)
    with pytest.raises(UnknownIndexError):
        chat.share().decrypt(message)


@pytest.mark.parametrize("order", ["longer first", "longer last"])
def test_of_two_connected_exports_the_longer_stays_with_the_proof_of_both(chat: DirectChat, order: str) -> None:
    rows = [row(chat) for _ in range(4)]
    pair = [export(chat, 1), proved(export(chat, 2), rows[3])]
    first, second = pair if order == "longer first" else reversed(pair)
    merged = first.merge(second)
    assert [(r.first_index, r.proven_from) for r in merged._ratchets] == [(1, 3)]
    further = proved(export(chat, 1), rows[2])
    for both in (merged.merge(further), further.merge(merged)):
        assert [(r.first_index, r.proven_from) for r in both._ratchets] == [(1, 2)]


def crossing(chat: DirectChat, index: int) -> InboundSession:
    """What somebody who holds the key may make of it: wrong from `index` on, right from the next 256th row on."""
    data = chat.inbound.export_at(index)
    assert data is not None
    data = data[:101] + os.urandom(32) + data[133:]  # the part of the ratchet that the 256th row replaces
    return InboundSession.from_export(data, chat.outbound.binding, chat.outbound.signed_binding)


def test_a_key_that_is_right_from_some_row_on_stands_behind_the_whole_one(chat: DirectChat) -> None:
    early, late = message_at(chat, 252), message_at(chat, 256)
    invented, whole = proved(crossing(chat, 250), late), proved(export(chat, 0), early)
    for both in (invented.merge(whole), whole.merge(invented)):
        assert [(r.first_index, r.proven_from) for r in both._ratchets] == [(0, 252), (250, 256)]


def test_of_proven_exports_four_are_kept(chat: DirectChat) -> None:
    late = message_at(chat, 256)
    session = proved(export(chat, 0), late)
    for index in range(250, 255):
        session = session.merge(proved(crossing(chat, index), late))
    assert [r.first_index for r in session._ratchets] == [0, 250, 251, 252]


def test_a_merge_keeps_what_stands_beside(chat: DirectChat) -> None:
    for _ in range(3):
        row(chat)
    signed = chat.share()
    session = signed.merge(export(chat, 2)).merge(export(chat, 0, forged=True)).merge(export(chat, 1))
    assert [(r.signed, r.first_index) for r in session._ratchets] == [(True, 3), (False, 1), (False, 0)]


def test_the_same_key_twice_is_one(chat: DirectChat) -> None:
    assert len(chat.inbound.merge(chat.share())._ratchets) == 1
    assert len(export(chat, 0).merge(export(chat, 0))._ratchets) == 1


def test_of_unproven_exports_the_newest_four_are_kept(chat: DirectChat) -> None:
    session = chat.inbound
    for _ in range(7):
        session = session.merge(export(chat, 0, forged=True))
    assert [r.signed for r in session._ratchets] == [True, False, False, False, False]
    message = row(chat)
    assert session.merge(export(chat, 0)).decrypt(message).plaintext == b"hola"


def test_the_backup_holds_what_is_proven_from_where_it_is(chat: DirectChat) -> None:
    rows = [row(chat) for _ in range(3)]
    signed = chat.share()
    both = signed.merge(export(chat, 0))
    assert both.for_backup()[1:] == (3, True)
    assert proved(export(chat, 0), rows[1]).for_backup() == (chat.inbound.export_at(1), 1, True)
    assert proved(both, rows[2]).for_backup()[1:] == (2, True)
    assert export(chat, 1, forged=True).merge(export(chat, 0)).for_backup()[1:] == (0, False)


def test_a_sender_session_comes_back_whole(chat: DirectChat) -> None:
    chat.outbound.encrypt(b"x")
    kept = OutboundSession.load(chat.outbound.dump())
    assert kept.room_key() == chat.outbound.room_key()
    assert (kept.binding, kept.signed_binding, kept.timer_s, kept.index) == (
        chat.outbound.binding,
        chat.outbound.signed_binding,
        chat.outbound.timer_s,
        1,
    )


def test_a_key_names_no_group_profile_of_itself(chat: DirectChat) -> None:
    assert decode_room_key(chat.outbound.room_key()).gpk == b""
