"""Identities that change: by succession contacts and groups follow, by the operator's leave everybody is told.

Ana and Bruno know each other; Bruno is who moves.
"""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from mensajeria.client import Client
from mensajeria.client.api import (
    Cause,
    ConnectionPhase,
    GroupRole,
    IdentityChanged,
    SecurityKind,
    Trust,
    VerificationMethod,
)
from mensajeria.client.engine.letters import ROOM_KEY
from mensajeria.client.errors import NetworkError
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.crypto.message import Draft, seal_message, text_body
from mensajeria.crypto.sender import OutboundSession
from mensajeria.protocol import auth, frames
from mensajeria.protocol.frames import Event, EventKind
from mensajeria.protocol.ids import ChatId, b64
from mensajeria.protocol.records import SenderAddress
from mensajeria.server.accounts.identities import allow_reset
from mensajeria.server.db.schema import account
from tests.attacks.evil import Json, Rule
from tests.attacks.forging import contact_of, envelope_for, now_ms
from tests.attacks.stage import PASSWORDS, PATIENCE_S, Actor, Stage

pytestmark = pytest.mark.slow
NEW = "tercera frase 99 roja"


async def renew(stage: Stage, bruno: Actor) -> None:
    """Bruno's device moves his account to a new identity."""
    code = (stage.folder / "bruno.code").read_text()
    await bruno.client.renew_identity(PASSWORDS["bruno"], NEW, code)
    await bruno.online()


async def reset(stage: Stage) -> Actor:
    """Bruno has lost everything and begins anew by the operator's code."""
    token = await allowed(stage)
    client = await Client.reset_identity(
        stage.evil.url, "bruno", b64(token), NEW, profile=stage.folder / "anew", insecure_key_file=True
    )
    actor = await Actor.watch(client).online()
    stage.actors.append(actor)
    return actor


async def allowed(stage: Stage) -> bytes:
    """What the operator's command stores; the code that it prints."""
    token = os.urandom(16)

    def write(connection: object) -> None:
        row = connection.execute(account.select().where(account.c.handle == "bruno")).one()  # type: ignore[attr-defined]
        allow_reset(connection, row.id, token, now_ms(), now_ms() + 60_000)  # type: ignore[arg-type]

    await stage.evil.server.db.write(write)
    return token


async def group_of(owner: Actor, other: Actor) -> ChatId:
    """A group of the first one, in which both have written."""
    owner_name, name = owner.client.me.handle, other.client.me.handle
    group = (await owner.client.create_group("Dos", [name])).chat_id
    await knows(other, group)
    await owner.send(group, "hola, grupo")
    await other.shows(group, f"{owner_name}: hola, grupo")
    await other.client.accept(group)
    await other.send(group, "presente")
    await owner.shows(group, f"{name}: presente")
    return group


async def knows(actor: Actor, chat_id: bytes) -> None:
    """Wait until the actor's client has opened a group."""
    end = time.monotonic() + PATIENCE_S
    while chat_id not in {view.chat_id for view in await actor.client.chats()}:
        assert time.monotonic() < end, "not opened"
        await asyncio.sleep(0.01)


async def idfp_in(actor: Actor, chat_id: ChatId, uid: bytes) -> bytes:
    memberships = actor.client._context.memberships
    return await actor.read(lambda tx: memberships.of(tx, chat_id).now.members[uid].idfp)


async def is_told(bruno: Actor, group: ChatId) -> None:
    """Wait until the group knows Bruno's identity of now."""
    end = time.monotonic() + PATIENCE_S
    while await idfp_in(bruno, group, bruno.uid) != (await bruno.read(contact_of(bruno.uid))).idfp:
        assert time.monotonic() < end, "the group was not told"
        await asyncio.sleep(0.01)


async def verify(ana: Actor, bruno: Actor) -> None:
    """Ana has verified Bruno."""
    contact = await ana.read(contact_of(bruno.uid))
    marks = ana.client._context.marks
    await ana.client._context.commit(
        lambda tx, out: marks.verify(tx, out, contact.uid, contact.idfp, VerificationMethod.CODE)
    )


async def moved_from(actor: Actor, uid: bytes, idfp: bytes) -> None:
    """Wait until the actor has another identity of somebody."""
    end = time.monotonic() + PATIENCE_S
    while (await actor.read(contact_of(uid))).idfp == idfp:
        assert time.monotonic() < end, "the list did not come"
        await asyncio.sleep(0.01)


def alarms(actor: Actor) -> list[IdentityChanged]:
    return [event for event in actor.events if isinstance(event, IdentityChanged)]


# --- succession


async def test_contacts_and_groups_follow_a_succession(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    group = await group_of(ana, bruno)
    await verify(ana, bruno)
    before = await ana.read(contact_of(bruno.uid))

    await renew(stage, bruno)

    await moved_from(ana, bruno.uid, before.idfp)
    await bruno.send(stage.chat_id, "soy yo, con otra llave")
    await bruno.send(group, "aquí también")
    await ana.shows(stage.chat_id, "bruno: soy yo, con otra llave")
    await ana.shows(group, "bruno: aquí también")
    await ana.send(stage.chat_id, "te sigo")
    await ana.send(group, "os sigo")
    await bruno.shows(stage.chat_id, "ana: te sigo")
    await bruno.shows(group, "ana: os sigo")
    after = await ana.read(contact_of(bruno.uid))
    assert (after.trust, after.sending_blocked) == (Trust.VERIFIED, False)
    assert await idfp_in(ana, group, bruno.uid) == after.idfp
    assert Cause.IDENTITY_RENEWED in await ana.places(stage.chat_id)
    assert Cause.IDENTITY_RENEWED in await ana.places(group)
    kinds = [entry.kind for entry in await ana.client.security.timeline(stage.chat_id)]
    assert SecurityKind.IDENTITY_RENEWED in kinds
    assert alarms(ana) == []
    assert ana.warnings() == bruno.warnings() == []


async def test_a_new_member_believes_a_group_with_a_moved_identity(stage: Stage) -> None:
    """Events from before the move were signed under the former identity: the lists between tell so."""
    ana, bruno = await stage.pair()
    group = (await bruno.client.create_group("De Bruno", [])).chat_id
    await renew(stage, bruno)
    await is_told(bruno, group)
    await bruno.client.chat(group).add(["ana"])
    await knows(ana, group)
    await bruno.send(group, "bienvenida")
    await ana.shows(group, "bruno: bienvenida")
    assert ana.warnings() == []


async def test_a_renewal_whose_answer_was_never_seen_is_adopted_by_the_next_login(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bruno = await stage.pair()
    group = await group_of(ana, bruno)
    ask = AuthChannel.ask

    async def cut(channel: AuthChannel, message: auth.ClientAuth, kind: type[auth.ServerAuth]) -> auth.ServerAuth:
        answer: auth.ServerAuth = await ask(channel, message, kind)
        if isinstance(answer, auth.IdentityRenewed):
            raise NetworkError("unreachable")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(AuthChannel, "ask", cut)
        with pytest.raises(NetworkError):
            await renew(stage, bruno)
    await bruno.client.login_again(NEW)
    await bruno.online()
    await bruno.send(group, "sin respuesta, pero aquí")
    await ana.shows(group, "bruno: sin respuesta, pero aquí")
    assert bruno.warnings() == []


class NoSuccession(Rule):
    """Hides every succession."""

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        return {"proofs": []} if "/successions" in path else answer


async def test_a_succession_that_the_server_hides_is_told_as_any_changed_identity(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await verify(ana, bruno)
    stage.evil.rule = NoSuccession()
    before = await ana.read(contact_of(bruno.uid))
    await renew(stage, bruno)
    await moved_from(ana, bruno.uid, before.idfp)
    assert (await ana.read(contact_of(bruno.uid))).sending_blocked
    await ana.has_place(stage.chat_id, Cause.IDENTITY_CHANGED)


# --- the operator's reset


async def test_a_reset_is_loud_and_the_group_takes_the_person_in_again(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    group = await group_of(ana, bruno)
    await verify(ana, bruno)
    anew = await reset(stage)

    await bruno.phase(ConnectionPhase.LOGIN_ENDED)
    await ana.until(lambda: alarms(ana), "told")
    assert alarms(ana)[0].blocked
    for chat_id in (stage.chat_id, group):
        await ana.has_place(chat_id, Cause.IDENTITY_CHANGED)
    assert anew.uid == bruno.uid
    assert anew.warnings() == ["group_former_identity"]
    assert group not in {view.chat_id for view in await anew.client.chats()}
    assert await anew.texts(stage.chat_id) == []

    await ana.client.chat(stage.chat_id).accept_identity()
    await anew.send(stage.chat_id, "he perdido todo")
    await ana.shows(stage.chat_id, "bruno: he perdido todo")
    await ana.send(group, "esto no lo lee bruno")
    await ana.client.chat(group).remove("bruno")
    await ana.client.chat(group).add(["bruno"])
    await knows(anew, group)
    await ana.send(group, "otra vez dentro")
    await anew.shows(group, "ana: otra vez dentro")
    assert await anew.texts(group) == ["ana: otra vez dentro"]
    assert [one.did for one in await anew.client.devices()] == [anew.client._context.me.did]


async def test_a_group_whose_owner_was_reset_is_made_again_with_the_owner_in_it(stage: Stage) -> None:
    """By a member, who knows the former identity as verified: nothing goes to the new one before it is accepted."""
    ana, bruno = await stage.pair()
    group = await group_of(bruno, ana)
    await verify(ana, bruno)
    anew = await reset(stage)
    await ana.until(lambda: alarms(ana), "told")
    [owner, _] = await ana.client.chat(group).members()
    assert (owner.person.handle, owner.former_identity) == ("bruno", True)

    made = (await ana.client.recreate_group(group)).chat_id
    await ana.has_place(made, Cause.IDENTITY_CHANGED)
    members = {one.person.handle: one for one in await ana.client.chat(made).members()}
    assert (members["ana"].role, members["bruno"].role) == (GroupRole.OWNER, GroupRole.MEMBER)
    assert not members["bruno"].former_identity
    assert await idfp_in(ana, made, anew.uid) == (await anew.read(contact_of(anew.uid))).idfp
    await ana.send(made, "¿eres tú?")
    await knows(anew, made)
    assert await anew.texts(made) == []
    await ana.client.security.accept("bruno")
    await anew.shows(made, "ana: ¿eres tú?")
    await anew.client.accept(made)
    await anew.send(made, "soy yo")
    await ana.shows(made, "bruno: soy yo")


async def test_a_group_made_again_leaves_out_whose_account_is_gone(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    group = await group_of(ana, bruno)
    await bruno.client.delete_account(PASSWORDS["bruno"], recovery_code=(stage.folder / "bruno.code").read_text())
    made = await ana.client.recreate_group(group)
    assert [one.person.handle for one in await made.members()] == ["ana"]


async def test_an_identity_that_only_the_server_vouches_for_writes_nothing_in_a_group(stage: Stage) -> None:
    """The server makes a reset of its own: its device stands in Bruno's newest list, and not in the group."""
    ana, bruno = await stage.pair()
    group = await group_of(ana, bruno)
    await bruno.close()
    thief = await reset(stage)
    await ana.until(lambda: alarms(ana), "told")
    memberships = ana.client._context.memberships
    state = await ana.read(lambda tx: memberships.of(tx, group).now)
    device, contact = await thief.device(), await ana.read(contact_of(thief.uid))
    address = SenderAddress(uid=thief.uid, did=device.did, idfp=contact.idfp, dl_ver=contact.list_ver)
    session = OutboundSession.create(device, chat_id=group, head=state.head, dl_ver=contact.list_ver, now_ms=now_ms())
    key = await envelope_for(stage, ana, device, address, ROOM_KEY, session.room_key())
    await stage.evil.tell(ana.uid, frames.Batch((key,)))
    draft = Draft("text", os.urandom(16), text_body("soy bruno"), state.head)
    with stage.evil.database() as db:
        (last,) = db.execute("SELECT last_seq FROM chat WHERE chat_id = ?", (group,)).fetchone()
    row = seal_message(session, draft, now_ms=now_ms(), epoch=state.epoch).outer
    await stage.evil.tell(ana.uid, frames.Batch((Event(group, last + 1, 0, EventKind.MESSAGE, row),)))
    await ana.has_place(group, Cause.TAMPERED)
    assert "bruno: soy bruno" not in await ana.texts(group)


async def test_a_reset_identity_that_was_not_accepted_gets_no_old_key(stage: Stage) -> None:
    """Who takes an account over by the operator's help is asked for by nobody, and given nothing from before."""
    ana, bruno = await stage.pair()
    await ana.send(stage.chat_id, "de antes")
    await bruno.shows(stage.chat_id, "ana: de antes")
    outbound = await ana.read(lambda tx: tx.outbound.get(stage.chat_id))
    assert outbound is not None
    thief = await reset(stage)
    await ana.until(lambda: alarms(ana), "told")
    await thief.send(stage.chat_id, "dame lo de antes")
    await ana.shows(stage.chat_id, "bruno: dame lo de antes")
    healer, did = ana.client._context.healer, thief.client._context.me.did
    found = await ana.read(lambda tx: tx.inbound.find(stage.chat_id, outbound.session_id))
    contact = await ana.read(contact_of(thief.uid))
    letters = await ana.read(lambda tx: list(healer._hand_over(tx, contact.uid, did, found[0], 0)))
    assert letters == []
