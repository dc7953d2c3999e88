"""Invite links: who came by one and who made it know each other, and a server in between cannot change whom."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from mensajeria.client import Client, InputError, SecurityError
from mensajeria.client.api import SecurityKind, Trust, VerificationMethod
from mensajeria.client.engine.keylog.mirror import LOG_KEY
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Uid, b64
from mensajeria.protocol.links import invite_id, link_text, parse_link
from mensajeria.protocol.records_trust import INVITE_PROOF, InviteLink, InviteProof
from tests.attacks.evil import Rule
from tests.attacks.forging import Impostor, ServeKeys, contact_of, keys_of, list_known
from tests.attacks.stage import Actor, Stage

pytestmark = pytest.mark.slow
PASSWORD = "mandarina veleta 61 escarcha"


async def link_of(stage: Stage, actor: Actor, *, uses: int = 1) -> InviteLink:
    """A link that the actor has made."""
    server = stage.evil.server
    server.settings = server.settings.model_copy(update={"member_invites": True})
    made = await actor.client.create_invite(uses=uses)
    assert made.token.reveal_text() == b64(parse_link(made.link.reveal_text()).token)
    return parse_link(made.link.reveal_text())


async def joins(stage: Stage, folder: Path, link: InviteLink | str) -> Actor:
    """Carla registers with the link."""
    text = link if isinstance(link, str) else link_text(link)
    client = await Client.register(
        stage.evil.url, "carla", PASSWORD, profile=folder / "carla", invite=text, insecure_key_file=True
    )
    actor = Actor.watch(client)
    stage.actors.append(actor)
    return await actor.online()


async def trust_of(actor: Actor, uid: bytes) -> Trust | None:
    contact = await actor.read(lambda tx: tx.contacts.get(Uid(uid)))
    return None if contact is None else contact.trust


async def trusts(actor: Actor, uid: bytes, trust: Trust) -> None:
    for _ in range(2000):
        if await trust_of(actor, uid) is trust:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{await trust_of(actor, uid)}; {actor.warnings()}")


async def test_a_link_makes_both_known_to_each_other(stage: Stage, tmp_path: Path) -> None:
    ana = await stage.open("ana")
    link = await link_of(stage, ana)
    carla = await joins(stage, tmp_path, link)
    await trusts(carla, ana.uid, Trust.INVITE)
    await trusts(ana, carla.uid, Trust.INVITE)
    assert (await carla.client.security.of("ana")).verified_by is VerificationMethod.INVITE
    assert await carla.read(lambda tx: tx.meta.get(LOG_KEY)) == link.log_key
    [chat] = await carla.client.chats()
    assert chat.accepted
    assert chat.peer is not None
    assert chat.peer.handle == "ana"
    await carla.send(chat.chat_id, "ya estoy")
    await ana.shows(chat.chat_id, "carla: ya estoy")
    assert (await ana.client.chat(chat.chat_id).view()).accepted
    kinds = [entry.kind for entry in await ana.client.chat(chat.chat_id).security_timeline()]
    assert kinds == [SecurityKind.VERIFIED]
    assert ana.warnings() == carla.warnings() == []
    assert await carla.read(lambda tx: tx.trust.open_inviters()) == ()


@pytest.mark.parametrize("field", ["server_id", "log_key"])
async def test_a_link_of_another_server_stops_before_anything_is_told(stage: Stage, tmp_path: Path, field: str) -> None:
    ana = await stage.open("ana")
    link = await link_of(stage, ana)
    size = len(getattr(link, field))
    stage.evil.seen.auth.clear()
    with pytest.raises(SecurityError, match="invite_mismatch"):
        await joins(stage, tmp_path, msgspec.structs.replace(link, **{field: bytes(size)}))
    assert stage.evil.seen.auth == []
    assert not (tmp_path / "carla").exists()


class AnotherInTheTalk(Rule):
    """The description is the right server's, the conversation another one's."""

    def auth(self, message):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return msgspec.structs.replace(message, server_id=b"x" * 16) if hasattr(message, "server_id") else message


async def test_another_server_in_the_conversation_stops_too(stage: Stage, tmp_path: Path) -> None:
    ana = await stage.open("ana")
    link = await link_of(stage, ana)
    stage.evil.rule = AnotherInTheTalk()
    with pytest.raises(SecurityError, match="invite_mismatch"):
        await joins(stage, tmp_path, link)


async def test_another_identity_than_the_link_s_is_not_verified(stage: Stage, tmp_path: Path) -> None:
    """The server shows Carla an impostor as the inviter."""
    ana = await stage.open("ana")
    link = await link_of(stage, ana)
    impostor = Impostor.instead_of(list_known(await ana.read(contact_of(ana.uid))))
    stage.evil.rule = ServeKeys(ana.uid, keys_of(ana.uid, impostor.identity.record, impostor.signed))
    carla = await joins(stage, tmp_path, link)
    await carla.warned("invite_identity")
    assert await trust_of(carla, ana.uid) is Trust.FIRST_USE
    assert impostor.device.did not in stage.evil.seen.written_to(carla.uid)
    assert await carla.client.chats() == ()


async def test_a_false_proof_is_told_and_verifies_nobody(stage: Stage) -> None:
    """Bruno knows the token's number, not the link's secret."""
    ana, bruno = await stage.pair()
    link = await link_of(stage, ana)
    proof = encode(InviteProof(invite=invite_id(link.token), mac=b"m" * 32))
    await send_proof(ana, bruno, proof)
    await ana.warned("invite_proof_false")
    assert await trust_of(ana, bruno.uid) is Trust.FIRST_USE
    await send_proof(ana, bruno, encode(InviteProof(invite=b"n" * 16, mac=b"m" * 32)))
    await bruno.send(stage.chat_id, "después")
    await ana.shows(stage.chat_id, "bruno: después")
    assert await trust_of(ana, bruno.uid) is Trust.FIRST_USE


async def send_proof(ana: Actor, bruno: Actor, proof: bytes) -> None:
    from mensajeria.client.engine.letters import Letter  # noqa: PLC0415 - only here

    verifier = bruno.client._engine.verifier
    device = await ana.device()
    verifier._post([Letter(Uid(ana.uid), device.did, INVITE_PROOF, proof)])  # type: ignore[arg-type]
    await bruno.client.security.settled()


async def test_a_link_s_proof_counts_as_often_as_the_link(stage: Stage, tmp_path: Path) -> None:
    ana = await stage.open("ana")
    link = await link_of(stage, ana)
    carla = await joins(stage, tmp_path, link)
    await trusts(ana, carla.uid, Trust.INVITE)
    now = ana.client._context.me.clock.now_ms()
    assert await ana.read(lambda tx: tx.trust.issued(invite_id(link.token), now)) is None


@pytest.mark.parametrize(
    "text", ["mensajeria://join#", "mensajeria://join#AAAA", "mensajeria:x", "mensajeria-verify:AA"]
)
async def test_what_is_no_link_is_refused(stage: Stage, tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="invite_invalid"):
        await joins(stage, tmp_path, text)
