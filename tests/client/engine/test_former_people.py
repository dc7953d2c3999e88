"""Accounts that are gone, and who comes under their name: nobody is silently replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mensajeria.client.api import Cause, ChatChanged, ChatView, Event, MessageState, SecurityKind, Trust
from mensajeria.client.chat import Chat
from mensajeria.client.engine.former_people import beside_namesakes, gone, there
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.sending import Sending
from mensajeria.client.engine.transfers import Transfers
from mensajeria.client.engine.uploads import Uploads
from mensajeria.client.errors import RefusedError, SecurityError, StateError
from mensajeria.client.finding import find_chat
from mensajeria.client.store import Tx
from mensajeria.crypto.message import text_body
from mensajeria.protocol.api import SignedModel, UserKeys
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership import direct_chat_id
from tests.client.engine.own import Own, direct, opened
from tests.crypto.people import NOW, SERVER, Person

if TYPE_CHECKING:
    from mensajeria.client.engine.engine import Engine
    from mensajeria.client.engine.mailer import Mailer

DAY = 24 * 3600 * 1000


class Served:
    """The server's keys: of whom it has none, it says so."""

    def __init__(self) -> None:
        self.people: dict[bytes, Person] = {}
        self.users = self

    async def keys(self, uid: bytes) -> UserKeys:
        if uid not in self.people:
            raise RefusedError(Code.UNKNOWN_USER)
        one = self.people[uid]
        signed = SignedModel(body=one.signed_list.body, sig=one.signed_list.sig)
        return UserKeys(uid=one.uid, identity=one.record, device_list=signed)


@pytest.fixture(scope="module")
def people() -> tuple[Person, Person, Person]:
    """Ana, Bruno, and Bruno's next account, or somebody who calls himself so."""
    return Person("ana"), Person("bruno"), Person("bruno")


@pytest.fixture
def server(people: tuple[Person, Person, Person]) -> Served:
    served = Served()
    served.people = {one.uid: one for one in people}
    return served


@pytest.fixture
async def ana(people: tuple[Person, Person, Person], server: Served, tmp_path: Path) -> AsyncIterator[Own]:
    """She has a chat with the first Bruno."""
    async with opened(people[0], people[0].device, tmp_path, server) as own:
        await own.directory.refresh(Uid(people[1].uid))
        await own.context.store.run(lambda tx: begin(tx, people[1]))
        yield own


@pytest.fixture
def former(people: tuple[Person, Person, Person]) -> Person:
    return people[1]


@pytest.fixture
def later(people: tuple[Person, Person, Person]) -> Person:
    return people[2]


def chat_of(own: Own, who: Person) -> ChatId:
    return ChatId(direct_chat_id(SERVER, own.person.uid, who.uid))


def begin(tx: Tx, who: Person) -> None:
    own = tx.contacts.by_handle("ana")
    assert own is not None
    direct(tx, ChatId(direct_chat_id(SERVER, own.uid, who.uid)), who, accepted=True)


async def leaves(own: Own, server: Served, who: Person) -> None:
    """The account is deleted, and the client asks for it."""
    del server.people[who.uid]
    with pytest.raises(RefusedError):
        await own.directory.refresh(Uid(who.uid))


async def view(own: Own, who: Person) -> ChatView:
    found = await own.context.store.read(lambda tx: tx.views.chat(chat_of(own, who)))
    assert found is not None
    return found


async def causes(own: Own, who: Person) -> list[Cause | None]:
    page = await own.context.store.read(lambda tx: tx.messages.page(chat_of(own, who), limit=9))
    return [message.cause for message in page.messages]


# --- somebody comes under the name


async def test_another_account_of_the_name_is_no_first_use(ana: Own, former: Person, later: Person) -> None:
    contact = await ana.directory.refresh(Uid(later.uid))
    assert (contact.trust, contact.sending_blocked, contact.former_idfp) == (Trust.CHANGED, False, former.idfp)
    assert await ana.kinds(later.uid) == [(SecurityKind.IDENTITY_CHANGED, None)]
    assert (await ana.contact(former.uid)).trust is Trust.FIRST_USE


async def test_the_timeline_names_both_identities(ana: Own, former: Person, later: Person) -> None:
    await ana.directory.refresh(Uid(later.uid))
    [row] = await ana.context.store.read(lambda tx: tx.trust.timeline(ChatId(bytes(32)), [Uid(later.uid)], 9))
    assert row.params == {"former": former.idfp.hex()[:16], "idfp": later.idfp.hex()[:16]}


async def test_who_takes_the_name_of_somebody_verified_gets_nothing(ana: Own, former: Person, later: Person) -> None:
    await ana.verify(former, former.idfp)
    contact = await ana.directory.refresh(Uid(later.uid))
    assert (contact.trust, contact.sending_blocked) == (Trust.CHANGED, True)
    assert (await ana.contact(former.uid)).trust is Trust.VERIFIED, "that is another account"
    assert await ana.accept(later.uid)
    assert (await ana.contact(later.uid)).sending_blocked is False


async def test_a_request_under_the_name_shows_it(ana: Own, later: Person) -> None:
    await ana.context.store.run(lambda tx: direct(tx, chat_of(ana, later), later, accepted=False))
    await ana.directory.refresh(Uid(later.uid))
    assert (await view(ana, later)).identity_changed
    assert await causes(ana, later) == [Cause.IDENTITY_CHANGED]


async def test_while_both_are_there_the_name_means_the_known_one(ana: Own, former: Person, later: Person) -> None:
    """A server that lies can make a second account of any name."""
    await ana.context.store.run(lambda tx: direct(tx, chat_of(ana, later), later, accepted=True))
    await ana.directory.refresh(Uid(later.uid))
    await ana.directory.refresh(Uid(former.uid))
    named = await ana.context.store.read(lambda tx: tx.contacts.by_handle("bruno"))
    assert named is not None
    assert named.uid == former.uid
    views = [await view(ana, later), await view(ana, former)]
    assert find_chat(views, "bruno") == views[1]
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(0)) == (), "it was asked"


async def test_whether_the_known_account_is_there_is_asked(ana: Own, former: Person, later: Person) -> None:
    await ana.directory.refresh(Uid(later.uid))
    assert ana.context.lists_wanted.is_set()
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(0)) == (former.uid,)


async def test_the_lists_of_the_known_account_are_wanted(ana: Own, former: Person, later: Person) -> None:
    out, fresh = Outcome(), replace(await ana.contact(former.uid), uid=Uid(later.uid))
    await ana.context.store.run(lambda tx: beside_namesakes(tx, out, ana.context.me, fresh))
    assert out.wanted_lists == {former.uid}


async def test_who_is_known_to_be_gone_is_not_doubted(ana: Own, server: Served, former: Person, later: Person) -> None:
    out, fresh = Outcome(), replace(await ana.contact(former.uid), uid=Uid(later.uid))
    await leaves(ana, server, former)
    await ana.context.store.run(lambda tx: beside_namesakes(tx, out, ana.context.me, fresh))
    assert out.wanted_lists == set()
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(NOW)) == ()


async def test_nobody_doubts_the_own_account(ana: Own, server: Served) -> None:
    other = Person("ana")
    server.people[other.uid] = other
    assert (await ana.directory.refresh(Uid(other.uid))).trust is Trust.CHANGED
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(0)) == ()


# --- the former account is gone


async def test_the_chat_with_an_account_that_is_gone_says_so_once(ana: Own, server: Served, former: Person) -> None:
    stream = ana.context.emitter.stream(9)
    await leaves(ana, server, former)
    with pytest.raises(RefusedError):
        await ana.directory.refresh(Uid(former.uid))
    assert await causes(ana, former) == [Cause.ACCOUNT_GONE]
    seen: list[Event] = list(await stream.next_batch())
    assert [event.chat.gone for event in seen if isinstance(event, ChatChanged)] == [True]


async def test_it_is_said_at_once_and_by_name(ana: Own, former: Person) -> None:
    out = Outcome()
    await ana.context.store.run(lambda tx: gone(tx, out, ana.context.me, Uid(former.uid)))
    page = await ana.context.store.read(lambda tx: tx.messages.page(chat_of(ana, former), limit=9))
    told = [(one.cause, one.sender.handle, dict(one.params)) for one in page.messages]
    assert told == [(Cause.ACCOUNT_GONE, "bruno", {"handle": "bruno"})]
    assert out.touched == {chat_of(ana, former)}


async def test_an_account_that_is_there_again_is_shown_so(ana: Own, server: Served, former: Person) -> None:
    await leaves(ana, server, former)
    out = Outcome()
    await ana.context.store.run(lambda tx: there(tx, out, Uid(former.uid)))
    assert out.touched == {chat_of(ana, former)}


async def test_it_takes_no_more_messages(ana: Own, server: Served, former: Person) -> None:
    await leaves(ana, server, former)
    chat_id = chat_of(ana, former)
    chat = Chat(chat_id, ana.context, cast("Engine", None))
    uploads = Uploads(
        ana.context, Sending(ana.context, ana.directory, cast("Mailer", None)), Transfers(ana.context.emitter)
    )
    with pytest.raises(StateError, match="account_gone"):
        await ana.context.commit(chat._writable)
    with pytest.raises(StateError, match="account_gone"):
        await ana.context.store.read(lambda tx: uploads._check(tx, chat_id))


async def test_then_the_name_means_the_later_account(ana: Own, server: Served, former: Person, later: Person) -> None:
    await ana.directory.refresh(Uid(later.uid))
    await ana.context.store.run(lambda tx: direct(tx, chat_of(ana, later), later, accepted=False))
    await leaves(ana, server, former)
    named = await ana.context.store.read(lambda tx: tx.contacts.by_handle("bruno"))
    assert named is not None
    assert named.uid == later.uid
    views = [await view(ana, former), await view(ana, later)]
    assert find_chat(views, "bruno") == views[1]
    assert find_chat(views[:1], "bruno") == views[0], "it can still be read"


async def test_a_server_that_shows_the_account_again_opens_the_chat_again(
    ana: Own, server: Served, former: Person
) -> None:
    await leaves(ana, server, former)
    server.people[former.uid] = former
    await ana.directory.refresh(Uid(former.uid))
    assert not (await view(ana, former)).gone
    await ana.context.commit(Chat(chat_of(ana, former), ana.context, cast("Engine", None))._writable)


async def test_who_is_gone_is_asked_for_again_after_a_day(ana: Own, server: Served, former: Person) -> None:
    await leaves(ana, server, former)
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(NOW)) == ()
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(NOW + DAY)) == (former.uid,)


async def test_a_server_that_denies_one_s_own_account_closes_nothing(ana: Own, server: Served) -> None:
    await leaves(ana, server, ana.person)
    assert not await ana.context.store.read(lambda tx: tx.contacts.is_gone(Uid(ana.person.uid)))


async def test_of_strangers_nothing_is_kept(ana: Own, server: Served, later: Person) -> None:
    await leaves(ana, server, later)
    assert not await ana.context.store.read(lambda tx: tx.contacts.is_gone(Uid(later.uid)))


async def test_an_answer_that_is_refused_ends_the_doubt(ana: Own, server: Served, former: Person) -> None:
    """Else a server could make the client ask for ever."""
    await ana.context.store.run(lambda tx: tx.contacts.doubt(Uid(former.uid)))
    server.people[former.uid] = Person("bruno", former.uid)
    with pytest.raises(SecurityError):
        await ana.directory.refresh(Uid(former.uid))
    assert await ana.context.store.read(lambda tx: tx.contacts.doubted(0)) == ()


async def test_what_waits_for_an_account_that_is_gone_fails(ana: Own, server: Served, former: Person) -> None:
    chat_id, context = chat_of(ana, former), ana.context
    chat, mid = Chat(chat_id, context, cast("Engine", None)), Mid(b"m" * 16)
    await context.commit(lambda tx, out: chat._add(tx, out, mid, "hola", text_body("hola"), None))
    sending = Sending(context, ana.directory, cast("Mailer", None))
    assert not await sending._gave_up(chat_id)
    await leaves(ana, server, former)
    assert await sending._gave_up(chat_id)
    message = await context.store.read(lambda tx: tx.messages.find(chat_id, mid))
    assert message is not None
    assert message.state is MessageState.FAILED
    assert await context.store.read(lambda tx: tx.outbox.count()) == 0
