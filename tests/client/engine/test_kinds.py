"""Replies, edits, reactions and deletes between two people, without a server."""

from __future__ import annotations

import os

import pytest

from mensajeria.client.api import (
    ChangeFailed,
    ChangeSent,
    MessageChanged,
    MessageDiscarded,
    MessageKind,
    MessageReceived,
    MessageRemoved,
)
from mensajeria.client.engine.kinds import own
from mensajeria.client.engine.sealing import fail
from mensajeria.client.errors import InputError
from mensajeria.client.store.changes import Target
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import Mid
from mensajeria.protocol.records_messages import DELETE, EDIT, REACTION, DeleteBody, EditBody, ReactionBody
from tests.client.engine.talk import Talk
from tests.client.engine.world import Desk


@pytest.fixture
def talk(ana: Desk, bruno: Desk) -> Talk:
    return Talk(ana, bruno)


async def said(talk: Talk, text: str) -> Mid:
    """Ana has said it and Bruno has it."""
    mid = await talk.text(talk.ana, text)
    await talk.pass_on(talk.ana)
    return mid


def input_error(code: str) -> pytest.RaisesExc[InputError]:
    return pytest.raises(InputError, match=code)


# --- replies


async def test_a_reply_shows_the_beginning_of_the_original_as_the_reader_has_it(talk: Talk) -> None:
    mid = await said(talk, "¿vienes? " + "y " * 200)
    answer = await talk.text(talk.bruno, "sí", reply=(talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    quote = (await talk.one(talk.ana, answer)).reply
    assert quote is not None
    assert (quote.mid, quote.sender.handle, quote.kind, len(quote.text)) == (mid, "ana", MessageKind.TEXT, 200)
    assert quote.order == (await talk.one(talk.ana, mid)).order


async def test_a_reply_to_what_is_not_here_says_so(talk: Talk) -> None:
    answer = await talk.text(talk.ana, "a eso no", reply=(talk.bruno.me.uid, Mid(b"?" * 16)))
    await talk.pass_on(talk.ana)
    quote = (await talk.one(talk.bruno, answer)).reply
    assert quote is not None
    assert (quote.sender.handle, quote.kind, quote.text, quote.order) == ("bruno", None, "", None)


async def test_a_quote_follows_its_original(talk: Talk) -> None:
    mid = await said(talk, "a las cinco")
    answer = await talk.text(talk.bruno, "vale", reply=(talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    await talk.edit(talk.ana, mid, "a las seis")
    changed = [e.message.mid for e in talk.ana.last.events if isinstance(e, MessageChanged)]
    assert changed == [mid, answer]
    await talk.pass_on(talk.ana)
    quote = (await talk.one(talk.bruno, answer)).reply
    assert quote is not None
    assert quote.text == "a las seis"
    await talk.delete(talk.ana, mid)
    await talk.pass_on(talk.ana)
    for desk in (talk.ana, talk.bruno):
        quote = (await talk.one(desk, answer)).reply
        assert quote is not None
        assert (quote.kind, quote.text) == (MessageKind.DELETED, "")


async def test_a_text_with_two_references_is_of_an_unknown_form(talk: Talk) -> None:
    ref = (talk.ana.me.uid, Mid(b"?" * 16))
    await talk.any(talk.ana, "text", encode(EditBody(text="dos")), ref, ref)
    await talk.pass_on(talk.ana)
    assert await talk.shown(talk.bruno) == ["<unknown>"]


# --- edits


async def test_an_edit_changes_the_text_for_both_and_keeps_what_it_was(talk: Talk) -> None:
    mid = await said(talk, "ola")
    await talk.edit(talk.ana, mid, "hola")
    assert await talk.shown(talk.ana) == ["hola"]
    await talk.pass_on(talk.ana)
    await talk.edit(talk.ana, mid, "hola a todos")
    await talk.pass_on(talk.ana)
    for desk in (talk.ana, talk.bruno):
        message = await talk.one(desk, mid)
        assert (message.text, message.edited) == ("hola a todos", True)
        target = Target(talk.chat_id, talk.ana.me.uid, mid)
        versions = await desk.store.read(lambda tx, target=target: tx.changes.versions(target))  # type: ignore[misc]
        assert [version.text for version in versions] == ["ola", "hola", "hola a todos"]


async def test_an_edit_is_told_and_is_no_new_message(talk: Talk) -> None:
    mid = await said(talk, "uno")
    await talk.edit(talk.ana, mid, "dos")
    await talk.pass_on(talk.ana)
    assert [type(e) for e in talk.bruno.last.events] == [MessageChanged]
    assert await talk.unread(talk.bruno) == 1
    assert len(await talk.page(talk.bruno)) == 1


async def test_the_index_follows_an_edit(talk: Talk) -> None:
    mid = await said(talk, "manzana")
    await talk.edit(talk.ana, mid, "pera")
    await talk.pass_on(talk.ana)
    for desk in (talk.ana, talk.bruno):
        assert await talk.found(desk, "manzana") == []
        assert await talk.found(desk, "pera") == ["pera"]


async def test_the_last_edit_in_the_log_holds_whichever_was_readable_first(talk: Talk) -> None:
    """The key of the first edit comes after the second edit was read."""
    mid = await said(talk, "uno")
    await talk.edit(talk.ana, mid, "dos")
    await talk.post(talk.ana)
    await talk.ana.do(lambda tx, _: talk.ana.sealer.throw_away(tx, talk.chat_id))
    await talk.edit(talk.ana, mid, "tres")
    await talk.post(talk.ana)
    late, keys = talk.log[1:2], list(talk.keys)
    assert keys, "the second edit has another session"
    await talk.give_keys()
    talk.log[1:2], talk.log[2:3] = talk.log[2:3], late
    await talk.fetch(talk.bruno)
    # The log's order is what counts: there "dos" stands last now.
    assert (await talk.one(talk.bruno, mid)).text == "dos"


async def test_only_own_texts_can_be_edited(talk: Talk) -> None:
    mid = await said(talk, "de ana")
    with input_error("not_editable"):
        await talk.edit(talk.bruno, mid, "de bruno")
    with input_error("unknown_message"):
        await talk.edit(talk.bruno, Mid(b"?" * 16), "nada")
    await talk.delete(talk.ana, mid)
    with input_error("not_editable"):
        await talk.edit(talk.ana, mid, "otra vez")


async def test_a_foreign_edit_has_no_effect(talk: Talk) -> None:
    """Neither under the right author, which is not Bruno, nor under Bruno, who wrote no such message."""
    mid = await said(talk, "de ana")
    body = encode(EditBody(text="de bruno"))
    await talk.any(talk.bruno, EDIT, body, (talk.ana.me.uid, mid))
    await talk.any(talk.bruno, EDIT, body, (talk.bruno.me.uid, mid))
    await talk.pass_on(talk.bruno)
    assert await talk.shown(talk.ana) == ["de ana"]
    assert not (await talk.one(talk.ana, mid)).edited


async def test_the_number_of_kept_versions_is_bounded(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_VERSIONS", 3)
    mid = await said(talk, "0")
    for n in range(1, 6):
        await talk.edit(talk.ana, mid, str(n))
    await talk.pass_on(talk.ana)
    target = Target(talk.chat_id, talk.ana.me.uid, mid)
    versions = await talk.bruno.store.read(lambda tx: tx.changes.versions(target))
    assert [version.text for version in versions] == ["0", "3", "4", "5"]


# --- reactions


async def test_a_reaction_is_set_replaced_and_taken_back(talk: Talk) -> None:
    mid = await said(talk, "hecho")
    await talk.react(talk.bruno, mid, "👍")
    await talk.pass_on(talk.bruno)
    await talk.react(talk.ana, mid, "🎉")
    await talk.pass_on(talk.ana)
    assert await talk.reactions(talk.ana, mid) == await talk.reactions(talk.bruno, mid) == {"bruno": "👍", "ana": "🎉"}
    await talk.react(talk.bruno, mid, "❤️")
    await talk.pass_on(talk.bruno)
    assert await talk.reactions(talk.ana, mid) == {"bruno": "❤️", "ana": "🎉"}
    await talk.react(talk.bruno, mid, None)
    await talk.react(talk.ana, mid, None)
    await talk.pass_on(talk.bruno)
    await talk.pass_on(talk.ana)
    assert await talk.reactions(talk.ana, mid) == await talk.reactions(talk.bruno, mid) == {}


async def test_a_reaction_is_one_emoji(talk: Talk) -> None:
    mid = await said(talk, "hecho")
    with input_error("not_an_emoji"):
        await talk.react(talk.bruno, mid, "sí")
    await talk.any(talk.bruno, REACTION, encode(ReactionBody(emoji="visita http://x")), (talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    assert await talk.reactions(talk.ana, mid) == {}
    assert await talk.shown(talk.ana) == ["hecho", "<unknown>"]


async def test_there_is_no_reaction_to_what_is_deleted_or_unknown(talk: Talk) -> None:
    mid = await said(talk, "adiós")
    await talk.delete(talk.ana, mid)
    await talk.pass_on(talk.ana)
    for unknown in (mid, Mid(b"?" * 16)):
        with input_error("unknown_message"):
            await talk.react(talk.bruno, unknown, "👍")
    await talk.any(talk.bruno, REACTION, encode(ReactionBody(emoji="👍")), (talk.ana.me.uid, mid))
    await talk.pass_on(talk.bruno)
    assert await talk.reactions(talk.ana, mid) == {}


async def test_a_thousand_reactions_of_one_person_are_one(talk: Talk) -> None:
    mid = await said(talk, "hecho")
    for n in range(30):
        await talk.any(
            talk.bruno, REACTION, encode(ReactionBody(emoji="👍" if n % 2 else "👎")), (talk.ana.me.uid, mid)
        )
    await talk.pass_on(talk.bruno)
    count = await talk.ana.store.read(lambda tx: tx.changes._db.value("SELECT count(*) FROM changes"))
    assert (count, await talk.reactions(talk.ana, mid)) == (1, {"bruno": "👍"})


# --- deletes


async def test_a_delete_wipes_text_versions_reactions_and_index_for_both(talk: Talk) -> None:
    mid = await said(talk, "secreto")
    await talk.edit(talk.ana, mid, "secretísimo")
    await talk.pass_on(talk.ana)
    await talk.react(talk.bruno, mid, "😮")
    await talk.pass_on(talk.bruno)
    await talk.delete(talk.ana, mid)
    await talk.pass_on(talk.ana)
    for desk in (talk.ana, talk.bruno):
        message = await talk.one(desk, mid)
        assert (message.deleted, message.text, message.edited, message.reactions) == (True, "", False, ())
        assert message.deleted_by is not None
        assert message.deleted_by.handle == "ana"
        assert await talk.found(desk, "secreto") == await talk.found(desk, "secretísimo") == []
        left = await desk.store.read(lambda tx: list(tx.changes._db.all("SELECT value FROM changes")))
        assert left == []
    assert await talk.unread(talk.bruno) == 0


async def test_only_the_author_deletes_for_all_in_a_direct_chat(talk: Talk) -> None:
    mid = await said(talk, "de ana")
    with input_error("not_deletable"):
        await talk.delete(talk.bruno, mid)
    await talk.any(talk.bruno, DELETE, encode(DeleteBody()), (talk.ana.me.uid, mid))
    await talk.any(talk.bruno, DELETE, encode(DeleteBody()), (talk.bruno.me.uid, mid))
    await talk.pass_on(talk.bruno)
    assert await talk.shown(talk.ana) == ["de ana"]


async def test_a_message_that_never_left_is_simply_gone(talk: Talk) -> None:
    mid = await talk.text(talk.ana, "mejor no")
    assert await talk.delete(talk.ana, mid) is None
    assert [type(e) for e in talk.ana.last.events] == [MessageDiscarded]
    assert await talk.post(talk.ana) == []
    assert await talk.shown(talk.ana) == []


async def test_a_delete_names_where_its_message_stood(talk: Talk) -> None:
    mid = await said(talk, "uno")
    change = await talk.delete(talk.ana, mid)
    assert change is not None
    item = await talk.ana.store.read(lambda tx: tx.outbox.get(talk.chat_id, change))
    at = await talk.bruno.store.read(lambda tx: tx.messages.stands_at(talk.chat_id, mid, talk.ana.me.uid))
    assert item is not None
    assert at is not None
    assert item.body == encode(DeleteBody(session_id=at[0], idx=at[1]))


async def test_what_the_server_is_asked_to_erase_waits_for_the_signed_delete(talk: Talk) -> None:
    mid = await said(talk, "uno")
    await talk.delete(talk.ana, mid)
    assert await talk.ana.store.read(lambda tx: tx.erasures.due(10)) == ()
    await talk.post(talk.ana)
    assert talk.ana.last.erase
    [(chat_id, [erasure])] = await talk.ana.store.read(lambda tx: tx.erasures.due(10))
    assert (chat_id, erasure.mid, erasure.own) == (talk.chat_id, mid, True)


async def test_deleted_for_oneself_is_gone_here_only_and_stays_gone(talk: Talk) -> None:
    mid = await said(talk, "para bruno no")
    await talk.bruno.do(lambda tx, out: own.delete_here(tx, out, talk.chat_id, mid))
    assert [type(e) for e in talk.bruno.last.events] == [MessageRemoved]
    assert (await talk.shown(talk.bruno), await talk.unread(talk.bruno)) == ([], 0)
    assert await talk.shown(talk.ana) == ["para bruno no"]
    await talk.edit(talk.ana, mid, "otra vez")
    await talk.pass_on(talk.ana)
    assert await talk.shown(talk.bruno) == []
    assert await talk.bruno.store.read(lambda tx: tx.changes.waiting(talk.chat_id)) == 0


# --- before their message


async def test_changes_that_come_before_their_message_wait_for_it(talk: Talk) -> None:
    mid = await talk.text(talk.ana, "uno")
    await talk.post(talk.ana)
    first_keys = list(talk.keys)
    await talk.ana.do(lambda tx, _: talk.ana.sealer.throw_away(tx, talk.chat_id))
    await talk.edit(talk.ana, mid, "dos")
    await talk.react(talk.ana, mid, "🙂")
    await talk.post(talk.ana)
    talk.keys = talk.keys[len(first_keys) :]
    await talk.give_keys()
    await talk.fetch(talk.bruno)
    assert await talk.shown(talk.bruno) == ["<waiting>"]
    assert await talk.bruno.store.read(lambda tx: tx.changes.waiting(talk.chat_id)) == 2
    talk.keys = first_keys
    await talk.give_keys()
    assert await talk.shown(talk.bruno) == ["dos"]
    assert await talk.reactions(talk.bruno, mid) == {"ana": "🙂"}
    assert await talk.bruno.store.read(lambda tx: tx.changes.waiting(talk.chat_id)) == 0


async def test_a_new_message_with_waiting_changes_is_told_once_as_it_ends_up(talk: Talk) -> None:
    mid = Mid(os.urandom(16))
    await talk.any(talk.ana, EDIT, encode(EditBody(text="después")), (talk.ana.me.uid, mid))
    await talk.pass_on(talk.ana)

    await talk.any(talk.ana, "text", encode(EditBody(text="antes")), mid=mid)
    await talk.pass_on(talk.ana)
    [received] = [e.message for e in talk.bruno.last.events if isinstance(e, MessageReceived)]
    assert (received.text, received.edited) == ("después", True)


async def test_what_waits_is_bounded_for_each_member(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_CHANGES_PER_MEMBER", 5)
    for n in range(9):
        await talk.any(talk.ana, EDIT, encode(EditBody(text=str(n))), (talk.ana.me.uid, Mid(os.urandom(16))))
    await talk.pass_on(talk.ana)
    kept = await talk.bruno.store.read(
        lambda tx: [v for (v,) in tx.changes._db.all("SELECT value FROM changes ORDER BY id")]
    )
    assert kept == ["4", "5", "6", "7", "8"]


async def test_what_waits_is_bounded_for_the_chat(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_CHANGES", 3)
    for n in range(5):
        await talk.any(talk.ana, EDIT, encode(EditBody(text=str(n))), (talk.ana.me.uid, Mid(os.urandom(16))))
    await talk.pass_on(talk.ana)
    assert await talk.bruno.store.read(lambda tx: tx.changes.waiting(talk.chat_id)) == 3


# --- own changes on their way


async def test_the_ack_of_a_change_is_told(talk: Talk) -> None:
    mid = await said(talk, "uno")
    change = await talk.react(talk.ana, mid, "👍")
    await talk.post(talk.ana)
    assert ChangeSent(talk.chat_id, change) in talk.ana.last.events


@pytest.mark.parametrize("what", ["edit", "reaction", "delete"])
async def test_a_change_that_is_refused_is_taken_back(talk: Talk, what: str) -> None:
    mid = await said(talk, "uno")
    await talk.edit(talk.ana, mid, "dos")
    await talk.react(talk.ana, mid, "👍")
    await talk.pass_on(talk.ana)
    before = await talk.one(talk.ana, mid)
    queued: Mid | None = None
    if what == "edit":
        queued = await talk.edit(talk.ana, mid, "tres")
    elif what == "reaction":
        queued = await talk.react(talk.ana, mid, None)
    else:
        queued = await talk.delete(talk.ana, mid)
    assert queued is not None
    assert await talk.one(talk.ana, mid) != before
    item = await talk.ana.store.read(lambda tx: tx.outbox.get(talk.chat_id, queued))
    assert item is not None
    await talk.ana.do(lambda tx, out: fail(tx, out, talk.ana.me, talk.chat_id, item, Code.FORBIDDEN))
    assert ChangeFailed(talk.chat_id, queued, "forbidden") in talk.ana.last.events
    assert await talk.one(talk.ana, mid) == before
    assert await talk.found(talk.ana, "dos") == ["dos"]
    assert await talk.ana.store.read(lambda tx: tx.erasures.due(10)) == ()
    assert await talk.post(talk.ana) == []


async def test_a_body_with_references_is_never_compressed(talk: Talk) -> None:
    """An edit or an answer stands beside somebody else's words; its compressed size could tell about them."""
    mid = await said(talk, "uno")
    long = "palabra " * 2000
    await talk.text(talk.ana, long)
    await talk.text(talk.ana, long, reply=(talk.ana.me.uid, mid))
    await talk.edit(talk.ana, mid, long)
    plain, reply, edit = map(len, await talk.post(talk.ana))
    assert plain < 2000
    assert min(reply, edit) > len(long)
