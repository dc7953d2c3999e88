"""Chosen history for a new member: what is given, from where, by whom, and what a new member may never read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import vodozemac

from mensajeria.client.api import Cause, HistoryChoice, MessageKind, MessageReceived
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.healing import WITHHELD
from mensajeria.client.engine.letters import HISTORY_KEYS, KEY_REQUEST, Letter
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import InboundKey
from mensajeria.client.store.values import ORDER_SHIFT
from mensajeria.crypto.inbound import InboundSession, UnknownIndexError
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Mid, SessionId, Uid
from mensajeria.protocol.records import KeyRequest
from mensajeria.protocol.records_healing import KeyWithheld
from mensajeria.protocol.records_history import HISTORY, HistoryBody, HistoryKeys
from tests.client.engine.newcomers import HOUR, Circle, Guest, circle, member
from tests.crypto.people import DAY, Person


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person, Person]:
    return Person("ana"), Person("bruno"), Person("dora")


@pytest.fixture
async def group(people: tuple[Person, Person, Person], tmp_path: Path) -> AsyncIterator[Circle]:
    async with circle(people, tmp_path) as made:
        yield made


async def given(group: Circle, history: HistoryChoice) -> list[Letter]:
    """Dora comes in and is given what was chosen; the letters."""
    await group.add_dora(history)
    await group.tell()
    letters = await group.owed()
    await group.read(group.dora, group.bruno)
    for letter in letters:
        await group.dora.at.take(group.ana.at, letter)
    await group.fill()
    return letters


async def ask(group: Circle, asked: Guest, session_id: bytes, index: int = 0, by: Guest | None = None) -> list[Letter]:
    by = by or group.dora
    question = KeyRequest(
        chat_id=group.chat_id, session_id=session_id, uid=asked.at.me.uid, did=asked.at.me.did, index=index
    )
    return await asked.at.do(lambda tx, _: asked.at.healer.answer(tx, *by.at.address, question))


def session_at(group: Circle, seq: int) -> SessionId:
    return SessionId(decode_outer(group.rows[seq - 1].body).session_id)


async def weeks(group: Circle) -> None:
    """Messages of both, ten days, three days and an hour before the end."""
    for age, words in ((10 * DAY, "diez"), (7 * DAY - HOUR, "tres"), (HOUR, "hora")):
        await group.write(group.ana, f"ana {words}")
        await group.write(group.bruno, f"bruno {words}")
        group.later({10 * DAY: 3 * DAY + HOUR, 7 * DAY - HOUR: 7 * DAY - 2 * HOUR, HOUR: HOUR}[age])
    await group.read(group.ana, group.bruno)


# --- what is given


@pytest.mark.parametrize(
    ("history", "texts"),
    [
        (HistoryChoice.ALL, ["ana diez", "bruno diez", "ana tres", "bruno tres", "ana hora", "bruno hora"]),
        (HistoryChoice.WEEK, ["ana tres", "bruno tres", "ana hora", "bruno hora"]),
        (HistoryChoice.DAY, ["ana hora", "bruno hora"]),
    ],
)
async def test_a_new_member_reads_as_far_back_as_was_chosen(
    group: Circle, history: HistoryChoice, texts: list[str]
) -> None:
    await weeks(group)
    await given(group, history)
    assert await group.shown() == [*texts, "<history_shared>"]


async def test_a_new_member_reads_nothing_from_before_unless_it_was_chosen(group: Circle) -> None:
    await group.write(group.ana, "antes")
    letters = await given(group, HistoryChoice.NOTHING)
    await group.write(group.ana, "después")
    await group.read(group.dora)
    assert letters == []
    assert await group.windows() == ()
    assert await group.shown() == ["después"]


async def test_all_members_are_told_what_was_chosen(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await given(group, HistoryChoice.WEEK)
    for guest in group.guests:
        (notice,) = [one for one in await group.page(guest) if one.cause is Cause.HISTORY_SHARED]
        assert notice.kind is MessageKind.NOTICE
        assert (notice.sender.handle, dict(notice.params)) == ("ana", {"who": "dora", "count": "1", "choice": "7d"})


async def test_keys_begin_at_the_exact_index_where_the_window_begins(group: Circle) -> None:
    await group.write(group.bruno, "uno", "dos")
    group.later(2 * HOUR)
    await group.write(group.bruno, "tres")
    await group.read(group.ana)
    group.later(DAY - HOUR)
    (letter,) = await given(group, HistoryChoice.DAY)
    (key,) = decode_record(HistoryKeys, letter.content).keys
    assert session_at(group, 2) == session_at(group, 4)
    assert key.first_index == 2
    assert await group.shown() == ["tres", "<history_shared>"]


async def test_earlier_messages_are_not_unread_and_stand_before_the_others(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await given(group, HistoryChoice.ALL)
    await group.write(group.ana, "ahora")
    await group.read(group.dora)
    assert await group.shown() == ["antes", "<history_shared>", "ahora"]
    chat = await group.dora.at.store.read(lambda tx: tx.views.chat(group.chat_id))
    assert chat is not None
    assert chat.unread == 1


async def test_what_disappears_is_given_to_nobody_and_says_so(group: Circle) -> None:
    await group.write(group.ana, "se queda")
    await group.read(group.bruno)
    await group.write(group.bruno, "se va", expire_s=60)
    await group.read(group.ana)
    letters = await given(group, HistoryChoice.ALL)
    sessions = {decode_record(HistoryKeys, one.content).keys[0].skb.body for one in letters}
    assert len(sessions) == 1
    assert await group.shown() == ["se queda", "<not_kept>", "<history_shared>"]


async def test_no_key_leaves_before_the_group_was_told(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.ALL)
    await group.ana.at.do(group.ana.giver.settle)
    assert await group.owed() == []
    assert [one.type for one in await ask(group, group.ana, session_at(group, 2))] == [WITHHELD]
    await group.flush(group.ana)
    assert {letter.type for letter in await group.owed()} == {HISTORY_KEYS}


async def test_a_choice_survives_a_crash_before_the_event_is_seen(group: Circle) -> None:
    """It is in the store before the event is signed, and is settled whenever the event comes."""
    await group.write(group.ana, "antes")
    uids = [group.dora.at.me.uid]
    await group.ana.at.do(lambda tx, _: group.ana.giver.want(tx, group.chat_id, uids, HistoryChoice.ALL))
    assert await group.ana.at.do(group.ana.giver.settle) == []
    group.event(group.ana, "add", members=(member(group.dora),))
    await group.read(group.ana)
    assert await group.ana.at.do(group.ana.giver.settle) == [group.chat_id]


async def test_a_choice_whose_event_never_came_is_forgotten(group: Circle) -> None:
    await group.write(group.ana, "antes")
    uids = [group.dora.at.me.uid]
    await group.ana.at.do(lambda tx, _: group.ana.giver.want(tx, group.chat_id, uids, HistoryChoice.ALL))
    group.later(2 * DAY)
    await group.ana.at.do(group.ana.giver.settle)
    group.event(group.ana, "add", members=(member(group.dora),))
    await group.read(group.ana)
    assert await group.ana.at.do(group.ana.giver.settle) == []


async def test_keys_that_come_before_the_message_that_explains_them_are_kept_for_it(group: Circle) -> None:
    await group.write(group.bruno, "antes")
    await group.read(group.ana)
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()
    for letter in await group.owed():
        await group.dora.at.take(group.ana.at, letter)
    assert await group.dora.at.store.read(lambda tx: tx.inbound.find(group.chat_id, session_at(group, 2))) == ()
    await group.read(group.dora)
    await group.fill()
    assert await group.shown() == ["antes", "<history_shared>"]


# --- what was lost on the way heals


async def test_keys_that_were_lost_are_asked_for_at_the_giver_alone(group: Circle) -> None:
    await group.write(group.bruno, "antes")
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()
    await group.owed()
    await group.read(group.dora)
    await group.fill()
    assert await group.shown() == ["<waiting>", "<history_shared>"]

    def questions(tx: Tx, _: Mail) -> list[Letter]:
        return [one for request in tx.requests.all() for one in group.dora.at.healer.questions(tx, request)]

    (question,) = await group.dora.at.do(questions)
    assert (question.type, question.did) == (KEY_REQUEST, group.ana.at.me.did)
    for letter in await ask(group, group.ana, session_at(group, 2)):
        await group.dora.at.take(group.ana.at, letter)
    assert await group.shown() == ["antes", "<history_shared>"]


async def test_a_row_that_the_giver_does_not_give_is_from_before_one_joined(group: Circle) -> None:
    """Bruno's first message lies in the window's rows, his device's clock says that it is older."""
    await group.write(group.ana, "dentro")
    group.bruno.at.clock.set_wall(group.now - 3 * DAY)
    await group.write(group.bruno, "fuera")
    await group.read(group.ana)
    await given(group, HistoryChoice.DAY)
    assert await group.shown() == ["dentro", "<waiting>", "<history_shared>"]
    (answer,) = await ask(group, group.ana, session_at(group, 3))
    await group.dora.at.take(group.ana.at, answer)
    assert await group.shown() == ["dentro", "<before_joined>", "<history_shared>"]
    assert await group.dora.at.store.read(lambda tx: tx.requests.all()) == ()


# --- nobody widens it


async def test_a_session_is_given_from_the_chosen_index_whatever_the_new_member_asks_for(group: Circle) -> None:
    await group.write(group.bruno, "uno", "dos")
    group.later(2 * HOUR)
    await group.write(group.bruno, "tres")
    await group.read(group.ana)
    group.later(DAY - HOUR)
    await given(group, HistoryChoice.DAY)
    letters = await ask(group, group.ana, session_at(group, 2), index=0)
    assert [letter.type for letter in letters] == [HISTORY_KEYS, WITHHELD]
    (key,) = decode_record(HistoryKeys, letters[0].content).keys
    assert key.first_index == 2
    refused = KeyWithheld(chat_id=group.chat_id, session_id=session_at(group, 2), reason="refused")
    assert letters[1] == Letter(group.dora.at.me.uid, group.dora.at.me.did, WITHHELD, encode(refused))
    assert [letter.type for letter in await ask(group, group.ana, session_at(group, 2), index=2)] == [HISTORY_KEYS]


async def test_a_key_of_the_window_opens_no_row_below_it(group: Circle) -> None:
    await group.write(group.bruno, "uno", "dos")
    group.later(2 * HOUR)
    await group.write(group.bruno, "tres")
    await group.read(group.ana)
    group.later(DAY - HOUR)
    await given(group, HistoryChoice.DAY)
    key = InboundKey(group.chat_id, session_at(group, 2), group.bruno.at.me.uid, group.bruno.at.me.did)
    stored = await group.dora.at.store.read(lambda tx: tx.inbound.get(key))
    assert stored is not None
    session = InboundSession.load(stored.state)
    for seq in (2, 3):
        message = vodozemac.MegolmMessage.from_bytes(decode_outer(group.rows[seq - 1].body).ct)
        with pytest.raises(UnknownIndexError):
            session.decrypt(message)


async def test_another_member_gives_nothing_from_before_whatever_was_chosen(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await group.write(group.bruno, "antes, también")
    await group.read(group.ana, group.bruno)
    await given(group, HistoryChoice.ALL)
    for seq in (2, 3):
        assert [one.type for one in await ask(group, group.bruno, session_at(group, seq))] == [WITHHELD]


async def test_a_server_that_dates_old_rows_as_new_widens_nothing(group: Circle) -> None:
    """The row's time is the server's word, the message's own time its author's: both must be in the window."""
    await group.write(group.bruno, "vieja")
    group.later(3 * DAY)
    group.rows[-1] = type(group.rows[-1])(
        group.chat_id, group.rows[-1].seq, group.now, group.rows[-1].kind, group.rows[-1].body
    )
    await group.read(group.ana)
    await group.write(group.ana, "nueva")
    await given(group, HistoryChoice.DAY)
    assert await group.shown() == ["nueva", "<history_shared>"]


async def test_an_author_who_dates_old_messages_as_new_widens_nothing_either(group: Circle) -> None:
    group.bruno.at.clock.advance(5 * DAY / 1000)
    await group.write(group.bruno, "del futuro")
    await group.read(group.ana)
    group.later(3 * DAY)
    await group.write(group.ana, "nueva")
    await given(group, HistoryChoice.DAY)
    assert await group.shown() == ["nueva", "<history_shared>"]


async def told(group: Circle, by: Guest, body: HistoryBody) -> None:
    """Somebody tells the group of a window."""
    await by.at.do(lambda tx, _: tx.outbox.add(group.chat_id, Mid(bytes(15) + b"h"), HISTORY, encode(body), group.now))
    await group.flush(by)


async def test_a_window_from_who_did_not_add_the_member_has_no_effect(
    people: tuple[Person, Person, Person], tmp_path: Path
) -> None:
    """Bruno is an admin; Ana added Dora and chose nothing."""
    async with circle(people, tmp_path, bruno="admin") as group:
        await group.write(group.ana, "antes")
        await group.add_dora(HistoryChoice.NOTHING)
        await group.read(group.bruno)
        await told(group, group.bruno, HistoryBody(choice="all", add=group.events, since=1))
        await group.read(group.dora, group.ana)
        assert await group.windows() == ()
        assert await group.shown() == []
        assert await group.shown(group.ana) == ["antes"]


async def test_a_window_from_who_is_no_admin_any_more_has_no_effect(
    people: tuple[Person, Person, Person], tmp_path: Path
) -> None:
    async with circle(people, tmp_path, bruno="admin") as group:
        await group.write(group.ana, "antes")
        await group.read(group.bruno)
        await group.add_dora(HistoryChoice.NOTHING, by=group.bruno)
        add = group.events
        group.event(group.ana, "role", who=group.bruno.at.me.uid, role="member")
        await group.read(*group.guests)
        await told(group, group.bruno, HistoryBody(choice="all", add=add, since=1))
        await group.read(group.dora)
        assert await group.windows() == ()


async def test_keys_from_a_member_who_opened_no_window_are_not_used(group: Circle) -> None:
    """Bruno hands Dora's device Ana's own letter; it waits for a window of his, which never comes."""
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()
    letters = await group.owed()
    await group.read(group.dora)
    for letter in letters:
        await group.dora.at.take(group.bruno.at, letter)
    await group.fill()
    assert await group.shown() == ["<waiting>", "<history_shared>"]


async def test_who_was_removed_gets_nothing_of_what_was_chosen_for_them(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()
    group.event(group.ana, "remove", who=group.dora.at.me.uid)
    await group.read(group.ana)
    assert await group.owed() == []
    assert await ask(group, group.ana, session_at(group, 2)) == []


async def test_who_is_added_again_gets_only_what_is_chosen_then(group: Circle) -> None:
    await group.write(group.bruno, "antes")
    await group.read(group.ana)
    await group.add_dora(HistoryChoice.ALL)
    await group.tell()
    group.event(group.ana, "remove", who=group.dora.at.me.uid)
    await group.read(group.ana)
    await group.add_dora(HistoryChoice.NOTHING)
    assert await group.owed() == []
    assert [one.type for one in await ask(group, group.ana, session_at(group, 2))] == [WITHHELD]


async def test_a_row_below_the_window_is_not_taken(group: Circle) -> None:
    """A server that sends more than was asked for: rows that the window does not hold change nothing."""
    await group.write(group.ana, "antes")
    await group.add_dora(HistoryChoice.NOTHING)
    before = len(await group.page())
    rows = group.rows[:1]
    dora = group.dora.at
    await dora.do(lambda tx, out: dora.rows.apply(tx, out, group.chat_id, rows, len(rows)))
    assert len(await group.page()) == before


async def test_an_earlier_row_of_who_was_removed_since_is_folded(group: Circle) -> None:
    """It comes below a place that the cursor had passed: the server may have it from after the removal."""
    await group.write(group.bruno, "de bruno")
    await group.read(group.ana)
    group.event(group.ana, "remove", who=group.bruno.at.me.uid)
    await group.read(group.ana)
    await given(group, HistoryChoice.ALL)
    (message,) = [one for one in await group.page() if one.text == "de bruno"]
    assert message.late
    assert message.order == 2 << ORDER_SHIFT


async def test_earlier_rows_are_told_once(group: Circle) -> None:
    await group.write(group.ana, "antes")
    await given(group, HistoryChoice.ALL)
    texts = [
        event.message.text
        for mail in group.dora.at.mails
        for event in mail.events
        if isinstance(event, MessageReceived) and event.message.kind is MessageKind.TEXT
    ]
    assert texts == ["antes"]
    await group.fill()
    assert [one for one in await group.shown() if one == "antes"] == ["antes"]


async def test_a_given_session_is_not_given_on_to_the_next_new_member(group: Circle) -> None:
    """Dora has Ana's earlier session; of it she gives nothing to who asks, for she chose nothing for anybody."""
    await group.write(group.ana, "antes")
    await given(group, HistoryChoice.ALL)
    eva = Uid(b"e" * 16), group.bruno.at.me.did
    question = KeyRequest(
        chat_id=group.chat_id, session_id=session_at(group, 2), uid=eva[0], did=group.dora.at.me.did, index=0
    )
    assert await group.dora.at.do(lambda tx, _: group.dora.at.healer.answer(tx, *eva, question)) == []


async def test_who_was_out_for_a_while_and_comes_back_reads_that_while_if_it_is_chosen(group: Circle) -> None:
    """Rows from then had places already: the log went on where the cursor stood, before the group was opened anew."""
    await group.add_dora(HistoryChoice.NOTHING)
    await group.write(group.ana, "juntas")
    await group.read(group.dora)
    group.event(group.ana, "remove", who=group.dora.at.me.uid)
    await group.read(*group.guests)
    await group.write(group.bruno, "sin dora")
    await group.read(group.dora, group.ana)
    assert await group.shown() == ["juntas", "<before_joined>"]
    await given(group, HistoryChoice.ALL)
    assert await group.shown() == ["juntas", "sin dora", "<history_shared>"]
