"""Lost rows: whom one asks for them and how often, what one gives again, and what of an answer is taken."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from mensajeria.client.api import Cause, MessageKind, MessageState, SecurityWarning, Trust
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.holes import FIRST_MS, MAX_GAP, Gap
from mensajeria.client.engine.kinds.own import delete_here
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.resending import (
    DELAYS_MS,
    KEPT_MS,
    PER_HOUR,
    REQUEST,
    RESEND,
    RESENT,
)
from mensajeria.client.store import Tx
from mensajeria.client.store.resends import SentRow
from mensajeria.client.store.values import NewMessage
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Mid, SessionId, Uid
from mensajeria.protocol.limits import CLOCK_TOLERANCE_MS
from mensajeria.protocol.records import KeyRequest
from mensajeria.protocol.records_healing import Resend, ResendRequest
from tests.client.engine.loss import TEXTS, Loss, altered, hear, key_comes, loss
from tests.client.engine.stations import chat_of
from tests.crypto.people import NOW

__all__ = ["loss"]


# --- asking


async def test_the_device_that_wrote_it_is_asked_once_the_time_has_come(loss: Loss) -> None:
    assert await loss.due(loss.bruno) == []
    loss.bruno.clock.advance(FIRST_MS / 1000)
    assert await loss.due(loss.bruno) == [Letter(loss.ana.me.uid, loss.ana.me.did, REQUEST, loss.request)]


async def test_it_is_asked_at_growing_distances_and_then_not_any_more(loss: Loss) -> None:
    loss.bruno.clock.advance(FIRST_MS / 1000)
    for delay in DELAYS_MS:
        assert len(await loss.due(loss.bruno)) == 1
        loss.bruno.clock.advance((delay - 1) / 1000)
        assert await loss.due(loss.bruno) == []
        loss.bruno.clock.advance(0.001)
    assert await loss.due(loss.bruno) == []
    assert await loss.hole() is None


@pytest.mark.parametrize("who", ["a device that is gone", "somebody unknown"])
async def test_a_row_that_nobody_has_any_more_keeps_no_other_one_waiting(loss: Loss, who: str) -> None:
    hole = await loss.hole()
    assert hole is not None
    uid = hole.uid if who == "a device that is gone" else Uid(os.urandom(16))
    lost = replace(hole, session_id=SessionId(os.urandom(32)), uid=uid, did=Did(os.urandom(16)), next_ms=0)
    await loss.bruno.store.run(lambda tx: tx.holes.put(lost))
    loss.bruno.clock.advance(FIRST_MS / 1000)
    assert [letter.did for letter in await loss.due(loss.bruno)] == [loss.ana.me.did]
    assert await loss.bruno.store.read(lambda tx: tx.holes.get(loss.chat, lost.session_id, 1)) is None


async def test_before_the_chat_was_accepted_only_own_devices_are_asked(loss: Loss) -> None:
    hole = await loss.hole()
    assert hole is not None
    me, phone = loss.bruno.me, loss.bruno_phone.me.did
    own = replace(hole, session_id=SessionId(os.urandom(32)), uid=me.uid, did=phone)

    def prepare(tx: Tx) -> None:
        tx.holes.put(own)
        tx.chats.set_accepted(loss.chat, accepted=False)

    await loss.bruno.store.run(prepare)
    loss.bruno.clock.advance(FIRST_MS / 1000)
    assert [letter.did for letter in await loss.due(loss.bruno)] == [phone]
    assert await loss.hole() is not None, "it may be accepted later"


# --- giving again


async def test_who_asks_gets_the_row_as_it_was_sent(loss: Loss) -> None:
    assert await loss.asked(loss.request) == [Letter(loss.bruno.me.uid, loss.bruno.me.did, RESEND, loss.resend)]


async def test_who_asks_for_two_rows_at_once_gets_both(loss: Loss) -> None:
    me = loss.ana.me
    questions = [Letter(me.uid, me.did, REQUEST, loss.request_for(idx)) for idx in (0, 1)]
    mail = await loss.ana.take(loss.bruno, *questions)
    rows = [decode_record(Resend, letter.content).row for letter in mail.answers]
    assert rows == list(loss.rows[:2])


@pytest.mark.parametrize("missing", ["chat", "session", "index"])
async def test_there_is_nothing_to_give_of_what_was_never_sent(loss: Loss, missing: str) -> None:
    noise = os.urandom(32)
    request = decode_record(ResendRequest, loss.request)
    false = {
        "chat": with_fields(request, chat_id=noise),
        "session": with_fields(request, session_id=noise),
        "index": with_fields(request, idx=9),
    }[missing]
    assert await loss.asked(encode(false)) == []


async def test_a_row_is_given_for_thirty_days(loss: Loss) -> None:
    loss.ana.clock.advance(KEPT_MS / 1000)
    assert len(await loss.asked(loss.request)) == 1
    loss.ana.clock.advance(0.001)
    assert await loss.asked(loss.request) == []


async def test_a_deleted_message_is_not_given(loss: Loss) -> None:
    mid = Mid(decode_outer(loss.rows[1]).mid)
    await loss.ana.do(lambda tx, out: delete_here(tx, out, loss.chat, mid))
    assert await loss.asked(loss.request) == []
    assert len(await loss.asked(loss.request_for(0))) == 1


async def test_another_one_s_message_of_the_same_id_does_not_stand_for_it(loss: Loss) -> None:
    mid = Mid(decode_outer(loss.rows[1]).mid)

    def swap(tx: Tx, out: Mail) -> None:
        delete_here(tx, out, loss.chat, mid)
        tx.messages.add(
            NewMessage(
                loss.chat, mid, loss.bruno.me.uid, outgoing=False, kind=MessageKind.TEXT, state=MessageState.RECEIVED,
                sent_ms=NOW, text="dos", seq=9, server_ms=NOW,
            )
        )  # fmt: skip

    await loss.ana.do(swap)
    assert await loss.asked(loss.request) == []


async def test_a_change_has_no_message_of_its_own_and_is_given(loss: Loss) -> None:
    row = SentRow(Mid(os.urandom(16)), placed=False, outer=b"a change")
    await loss.ana.store.run(lambda tx: tx.sent_rows.keep(loss.chat, loss.session, 7, row, NOW))
    assert len(await loss.asked(loss.request_for(7))) == 1


async def test_who_may_have_the_key_from_some_index_on_gets_no_earlier_row(loss: Loss) -> None:
    """An identity that nothing proves gets again what was sent to it: its share tells from where."""

    def change(tx: Tx) -> None:
        tx.contacts.set_trust(loss.bruno.me.uid, Trust.CHANGED, sending_blocked=False)
        share = tx.outbound.shares(loss.session)[loss.bruno.me.did]
        tx.outbound.put_share(loss.session, replace(share, idx=1))

    await loss.ana.store.run(change)
    assert await loss.asked(loss.request_for(0)) == []
    assert len(await loss.asked(loss.request_for(1))) == 1


async def test_nobody_but_the_members_devices_gets_a_row(loss: Loss) -> None:
    await loss.ana.store.run(lambda tx: tx.chats.set_accepted(loss.chat, accepted=False))
    assert await loss.asked(loss.request) == []
    assert len(await loss.asked(loss.request, loss.ana_phone)) == 1


async def test_a_device_gets_only_so_many_in_an_hour(loss: Loss) -> None:
    for _ in range(PER_HOUR):
        assert len(await loss.asked(loss.request)) == 1
    assert await loss.asked(loss.request) == []
    assert len(await loss.asked(loss.request, loss.bruno_phone)) == 1
    loss.ana.clock.advance(3601)
    assert len(await loss.asked(loss.request)) == 1


async def test_rows_that_are_given_leave_the_answers_about_keys_as_they_are(loss: Loss) -> None:
    for _ in range(PER_HOUR):
        await loss.asked(loss.request)
    address, desk = loss.ana.address, loss.ana
    question = KeyRequest(chat_id=loss.chat, session_id=loss.session, uid=address[0], did=address[1], index=0)
    assert len(await desk.do(lambda tx, _: desk.healer.answer(tx, *loss.bruno.address, question))) == 1


# --- what comes back


async def test_the_row_takes_the_place_that_told_of_the_loss(loss: Loss) -> None:
    await loss.bruno.read(loss.chat, 3, [loss.rows[2]])
    assert await loss.gets(loss.resend) == list(TEXTS)
    mid = Mid(decode_outer(loss.rows[1]).mid)
    message = await loss.bruno.store.read(lambda tx: tx.messages.find(loss.chat, mid))
    assert message is not None
    assert message.seq == 2
    assert await loss.hole() is None
    assert await loss.bruno.store.read(lambda tx: tx.meta.number(RESENT)) == 1


async def test_its_clock_is_compared_with_when_the_server_had_it(loss: Loss) -> None:
    hole = await loss.hole()
    assert hole is not None
    late = replace(hole, server_ms=NOW + CLOCK_TOLERANCE_MS + 1)
    await loss.bruno.store.run(lambda tx: tx.holes.put(late))
    await loss.gets(loss.resend)
    mid = Mid(decode_outer(loss.rows[1]).mid)
    message = await loss.bruno.store.read(lambda tx: tx.messages.find(loss.chat, mid))
    assert message is not None
    assert message.clock_off


@pytest.mark.parametrize("by", ["her other device", "an own device"])
async def test_it_comes_only_from_the_device_that_wrote_it(loss: Loss, by: str) -> None:
    assert "dos" not in await loss.gets(loss.resend, loss.ana_phone if by == "her other device" else loss.bruno_phone)
    assert await loss.hole() is not None


async def test_a_device_of_the_same_id_of_somebody_else_is_another_one(loss: Loss) -> None:
    hole = await loss.hole()
    assert hole is not None
    await loss.bruno.store.run(lambda tx: tx.holes.put(replace(hole, uid=Uid(loss.eva.uid))))
    assert "dos" not in await loss.gets(loss.resend)


async def test_a_row_that_is_not_missing_is_not_taken(loss: Loss) -> None:
    assert "tres" not in await loss.gets(encode(Resend(chat_id=loss.chat, row=loss.rows[2])))
    assert await loss.bruno.store.read(lambda tx: tx.meta.number(RESENT)) == 0


async def test_a_row_that_does_not_verify_changes_nothing(loss: Loss) -> None:
    false = encode(Resend(chat_id=loss.chat, row=altered(loss.rows[1])))
    assert await loss.gets(false) == ["uno", f"<{Cause.TAMPERED.value}>"]
    assert await loss.hole() is not None
    assert await loss.bruno.store.read(lambda tx: tx.meta.number(RESENT)) == 0


@pytest.mark.parametrize("lie", ["another chat's", "an unknown chat's", "of a newer version", "noise"])
async def test_what_is_no_row_of_the_chat_is_malformed(loss: Loss, lie: str) -> None:
    outer = decode_outer(loss.rows[1])
    unknown, other = os.urandom(32), chat_of(loss.bruno.person, loss.eva)
    peer = Uid(loss.eva.uid)
    await loss.bruno.store.run(
        lambda tx: tx.chats.ensure_direct(other, peer, accepted=True, note_to_self=False, now_ms=NOW)
    )
    chat_id, row = {
        "another chat's": (other, loss.rows[1]),
        "an unknown chat's": (unknown, encode(with_fields(outer, chat_id=unknown))),
        "of a newer version": (loss.chat, encode(with_fields(outer, v=2))),
        "noise": (loss.chat, b"noise"),
    }[lie]
    mail = await hear(loss.bruno, loss.ana, RESEND, encode(Resend(chat_id=chat_id, row=row)))
    assert SecurityWarning("key_refused") in mail.events
    assert await loss.hole() is not None


# --- several in a row


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first first", "last first"])
async def test_of_several_in_a_row_each_comes_back_before_the_notice(loss: Loss, order: tuple[int, int]) -> None:
    phone = loss.bruno_phone
    await key_comes(loss, phone, loss.letters)
    await phone.read(loss.chat, 1, [loss.rows[2]])
    phone.clock.advance(FIRST_MS / 1000)
    assert [decode_record(ResendRequest, letter.content).idx for letter in await loss.due(phone)] == [0, 1]
    seen = []
    for idx in order:
        await hear(phone, loss.ana, RESEND, encode(Resend(chat_id=loss.chat, row=loss.rows[idx])))
        seen.append(await phone.texts(loss.chat))
    assert seen == [[TEXTS[order[0]], "<missing>", "tres"], list(TEXTS)]


async def test_what_is_missing_at_the_end_of_a_session_comes_back_too(loss: Loss) -> None:
    phone = loss.bruno_phone
    await key_comes(loss, phone, loss.letters)
    await phone.read(loss.chat, 1, [loss.rows[0]])
    loss.ana.clock.advance(9 * 3600)
    await loss.ana.store.run(lambda tx: tx.outbound.set_fetched(loss.session))
    (row,), letters = await loss.ana.write(loss.chat, "cuatro")
    await key_comes(loss, phone, letters)
    await phone.read(loss.chat, 2, [row])
    assert await phone.texts(loss.chat) == ["uno", "<missing>", "cuatro"]
    for idx in (2, 1):
        await hear(phone, loss.ana, RESEND, encode(Resend(chat_id=loss.chat, row=loss.rows[idx])))
    assert await phone.texts(loss.chat) == [*TEXTS, "cuatro"]


async def test_what_comes_back_counts_as_unread_until_it_is_read(loss: Loss) -> None:
    phone = loss.bruno_phone
    await key_comes(loss, phone, loss.letters)
    await phone.read(loss.chat, 2, [loss.rows[2]])
    await hear(phone, loss.ana, RESEND, encode(Resend(chat_id=loss.chat, row=loss.rows[0])))

    def unread(tx: Tx) -> int:
        view = tx.views.chat(loss.chat)
        assert view is not None
        return view.unread

    assert await phone.store.read(unread) == 2


async def test_where_several_altered_rows_come_back_in_any_order_nothing_is_missing(loss: Loss) -> None:
    phone = loss.bruno_phone
    await key_comes(loss, phone, loss.letters)
    await phone.read(loss.chat, 1, [altered(loss.rows[0]), altered(loss.rows[1]), loss.rows[2]])
    assert await phone.texts(loss.chat) == ["<tampered>", "<tampered>", "<missing>", "tres"]
    for idx in (1, 0):
        await hear(phone, loss.ana, RESEND, encode(Resend(chat_id=loss.chat, row=loss.rows[idx])))
    assert await phone.texts(loss.chat) == list(TEXTS)


async def test_of_a_long_gap_the_last_rows_are_asked_for(loss: Loss) -> None:
    session = SessionId(os.urandom(32))
    gap = await loss.bruno.store.read(lambda tx: Gap().and_then(tx, session, 0, MAX_GAP + 10))
    assert (gap.count, len(gap.last), gap.last[0]) == (MAX_GAP + 10, MAX_GAP, (session, 10))
