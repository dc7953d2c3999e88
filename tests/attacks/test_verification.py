"""Making sure of a person: emoji, codes, numbers; with somebody between; and what a changed identity undoes."""

from __future__ import annotations

import pytest

from mensajeria.client import InputError, SecurityError, StateError
from mensajeria.client.api import (
    IdentityChanged,
    SecurityKind,
    Trust,
    TrustChanged,
    Verification,
    VerificationChanged,
    VerificationMethod,
    VerificationPhase,
)
from mensajeria.client.core import sas
from mensajeria.crypto.sas import SasKeys
from mensajeria.protocol import frames
from mensajeria.protocol.frames import Envelope
from mensajeria.protocol.ids import Uid
from mensajeria.protocol.links import code_text, parse_code
from tests.attacks.evil import Rule
from tests.attacks.forging import Impostor, ServeKeys, contact_of, keys_of, list_known
from tests.attacks.stage import Actor, Stage

pytestmark = pytest.mark.slow


def views(actor: Actor) -> list[Verification]:
    return [event.verification for event in actor.events if isinstance(event, VerificationChanged)]


async def reaches(actor: Actor, phase: VerificationPhase) -> Verification:
    """Wait until a comparison is in this phase."""
    await actor.until(lambda: any(view.phase is phase for view in views(actor)), phase.value)
    return next(view for view in reversed(views(actor)) if view.phase is phase)


async def trust_of(actor: Actor, other: Actor) -> Trust:
    contact = await actor.read(lambda tx: tx.contacts.get(Uid(other.uid)))
    assert contact is not None
    return contact.trust


async def comparing(ana: Actor, bruno: Actor) -> tuple[Verification, Verification]:
    """Ana asks, Bruno answers, both see emoji."""
    await ana.client.security.start("bruno")
    await reaches(bruno, VerificationPhase.INCOMING)
    await bruno.client.security.start("ana")
    return await reaches(ana, VerificationPhase.COMPARING), await reaches(bruno, VerificationPhase.COMPARING)


async def verified(ana: Actor, bruno: Actor) -> None:
    await comparing(ana, bruno)
    await ana.client.security.confirm("bruno")
    await bruno.client.security.confirm("ana")
    await reaches(ana, VerificationPhase.DONE)
    await reaches(bruno, VerificationPhase.DONE)


async def swap_identity(stage: Stage, ana: Actor, bruno: Actor) -> None:
    """The server shows Ana another identity under Bruno's uid."""
    impostor = Impostor.instead_of(list_known(await ana.read(contact_of(bruno.uid))))
    stage.evil.rule = ServeKeys(bruno.uid, keys_of(bruno.uid, impostor.identity.record, impostor.signed), only=ana.uid)
    await stage.evil.tell(ana.uid, frames.ListChanged(bruno.uid, 2))
    await ana.until(lambda: any(isinstance(event, IdentityChanged) for event in ana.events), "identity changed")


async def test_equal_emoji_that_both_confirm_verify_both(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    seen_by_ana, seen_by_bruno = await comparing(ana, bruno)
    assert seen_by_ana.emoji == seen_by_bruno.emoji
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    await ana.client.security.confirm("bruno")
    await reaches(ana, VerificationPhase.CONFIRMED)
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    await bruno.client.security.confirm("ana")
    await reaches(ana, VerificationPhase.DONE)
    assert await trust_of(ana, bruno) is await trust_of(bruno, ana) is Trust.VERIFIED
    known = await ana.client.security.of("bruno")
    assert known.verified_by is VerificationMethod.EMOJI
    assert any(isinstance(event, TrustChanged) for event in ana.events)
    kinds = [entry.kind for entry in await ana.client.chat(stage.chat_id).security_timeline()]
    assert kinds[-1] is SecurityKind.VERIFIED


async def test_two_who_ask_each_other_at_once_meet(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.client.security.start("bruno")
    await bruno.client.security.start("ana")
    shown = await reaches(ana, VerificationPhase.COMPARING)
    assert (await reaches(bruno, VerificationPhase.COMPARING)).emoji == shown.emoji
    assert ana.warnings() == bruno.warnings() == []


async def test_a_key_changed_after_the_commitment_ends_it(stage: Stage) -> None:
    """Grinding: whoever answers looks for a key whose emoji fit after it has seen the other's."""
    ana, bruno = await stage.pair()
    await ana.client.security.start("bruno")
    await reaches(bruno, VerificationPhase.INCOMING)
    verifier = bruno.client._engine.verifier
    verifier._post = lambda letters: (verifier._letters.extend(letters), swap(), verifier.due.set())  # type: ignore[assignment, func-returns-value]

    def swap() -> None:
        for made in verifier._running.values():
            made._keys = SasKeys()

    await bruno.client.security.start("ana")
    ended = await reaches(ana, VerificationPhase.CANCELLED)
    assert ended.reason == sas.BAD_COMMIT
    assert all(not view.emoji for view in views(ana))
    await ana.warned("verification_failed")
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    kinds = [entry.kind for entry in await ana.client.chat(stage.chat_id).security_timeline()]
    assert SecurityKind.VERIFICATION_FAILED in kinds


async def test_different_emoji_end_it_for_both(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await comparing(ana, bruno)
    await ana.client.security.cancel("bruno", mismatch=True)
    assert (await reaches(bruno, VerificationPhase.CANCELLED)).reason == sas.MISMATCH
    assert await trust_of(ana, bruno) is await trust_of(bruno, ana) is Trust.FIRST_USE
    with pytest.raises(StateError, match="no_verification"):
        await bruno.client.security.confirm("ana")
    await ana.warned("verification_failed")
    await bruno.warned("verification_failed")


class Twice(Rule):
    """Every envelope comes again, under another number."""

    def envelope(self, to: bytes, envelope: Envelope) -> list[Envelope]:
        return [envelope, frames.Envelope(envelope.id + 1_000_000, envelope.prekey_id, envelope.blob)]


async def test_replayed_steps_change_nothing(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = Twice()
    await verified(ana, bruno)
    assert await trust_of(ana, bruno) is await trust_of(bruno, ana) is Trust.VERIFIED


async def test_a_stranger_s_request_is_not_shown(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await bruno.change(lambda tx: tx.chats.set_accepted(stage.chat_id, accepted=False))
    await ana.client.security.start("bruno")
    await ana.send(stage.chat_id, "después")
    await bruno.shows(stage.chat_id, "ana: después")
    assert views(bruno) == []
    with pytest.raises(StateError, match="no_chat"):
        await bruno.client.security.start("ana")


async def test_a_declined_request_ends_for_who_asked(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.client.security.start("bruno")
    await reaches(bruno, VerificationPhase.INCOMING)
    await bruno.client.security.cancel("ana")
    ended = await reaches(ana, VerificationPhase.CANCELLED)
    assert (ended.reason, ended.by_me) == (sas.BY_PERSON, False)
    assert await bruno.client.security.state("ana") is None


async def test_an_answer_on_one_device_ends_it_on_the_other(phone_stage: Stage) -> None:
    ana, bruno = await phone_stage.pair()
    phone = await phone_stage.open("phone")
    await ana.client.security.start("bruno")
    await reaches(phone, VerificationPhase.INCOMING)
    await reaches(bruno, VerificationPhase.INCOMING)
    await bruno.client.security.start("ana")
    await reaches(phone, VerificationPhase.CANCELLED)
    assert (await reaches(ana, VerificationPhase.COMPARING)).emoji == (
        await reaches(bruno, VerificationPhase.COMPARING)
    ).emoji


async def test_a_code_of_another_server_person_or_identity_verifies_nobody(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    right = parse_code(await bruno.client.security.code())
    for field, size in (("server_id", 16), ("uid", 16), ("idfp", 32)):
        changed = {name: getattr(right, name) for name in right.__struct_fields__} | {field: bytes(size)}
        with pytest.raises(SecurityError, match="verification_mismatch"):
            await ana.client.security.check("bruno", code_text(type(right)(**changed)))
    with pytest.raises(SecurityError, match="verification_mismatch"):
        await ana.client.security.check("bruno", await ana.client.security.code())
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    assert await ana.client.security.check("bruno", code_text(right)) is VerificationMethod.CODE
    assert await trust_of(ana, bruno) is Trust.VERIFIED


async def test_a_number_verifies_only_whom_it_is_with(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    number = (await bruno.client.security.of("ana")).safety_number
    assert number == (await ana.client.security.of("bruno")).safety_number
    with pytest.raises(SecurityError, match="verification_mismatch"):
        await ana.client.security.check("bruno", number[:-1] + str((int(number[-1]) + 1) % 10))
    for text in ("", "12345", number[:-1], "x" * 60, "mensajeria-verify:AAAA"):
        with pytest.raises(InputError, match="code_invalid"):
            await ana.client.security.check("bruno", text)
    assert await ana.client.security.check("bruno", number.replace(" ", "")) is VerificationMethod.NUMBER


async def test_a_verified_identity_that_changes_blocks_until_verified_anew(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await verified(ana, bruno)
    await swap_identity(stage, ana, bruno)
    known = await ana.client.security.of("bruno")
    assert known.sending_blocked
    assert known.verified_by is None
    assert known.person.trust is Trust.CHANGED
    with pytest.raises(StateError, match="identity_changed"):
        await ana.client.chat(stage.chat_id).send_text("secreto")
    with pytest.raises(SecurityError, match="verification_mismatch"):
        await ana.client.security.check("bruno", await bruno.client.security.code())
    kinds = [entry.kind for entry in await ana.client.chat(stage.chat_id).security_timeline()]
    assert kinds[-2:] == [SecurityKind.VERIFIED, SecurityKind.IDENTITY_CHANGED]


async def test_a_changed_identity_that_is_accepted_is_written_to_again(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    assert not await ana.client.security.accept("bruno")
    await verified(ana, bruno)
    await swap_identity(stage, ana, bruno)
    assert await ana.client.security.accept("bruno")
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    assert not (await ana.client.chat(stage.chat_id).view()).identity_changed
    await ana.client.chat(stage.chat_id).send_text("a quien sea ahora")
    kinds = [entry.kind for entry in await ana.client.chat(stage.chat_id).security_timeline()]
    assert kinds[-1] is SecurityKind.IDENTITY_ACCEPTED


async def test_an_identity_that_changes_while_comparing_is_not_verified(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await comparing(ana, bruno)
    await bruno.client.security.confirm("ana")
    await ana.until(lambda: ana.client._engine.verifier._running[Uid(bruno.uid)]._they_confirmed, "their MAC")
    await swap_identity(stage, ana, bruno)
    ended = await ana.client.security.confirm("bruno")
    assert (ended.phase, ended.reason) == (VerificationPhase.CANCELLED, sas.IDENTITY)
    assert await trust_of(ana, bruno) is Trust.CHANGED


async def test_a_withdrawn_verification_is_gone(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    await ana.client.security.check("bruno", await bruno.client.security.code())
    assert await ana.client.security.withdraw("bruno")
    assert not await ana.client.security.withdraw("bruno")
    assert await trust_of(ana, bruno) is Trust.FIRST_USE
    kinds = [entry.kind for entry in await ana.client.chat(stage.chat_id).security_timeline()]
    assert kinds == [SecurityKind.VERIFIED, SecurityKind.UNVERIFIED]
