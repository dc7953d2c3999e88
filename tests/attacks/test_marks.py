"""Verified on one device is verified on all: the server can neither move a mark nor bring an old one back."""

from __future__ import annotations

import pytest

from mensajeria.client import SendBlockedError
from mensajeria.client.api import IdentityChanged, SettingChanged, Trust, TrustChanged, VerificationMethod
from mensajeria.protocol import frames
from mensajeria.protocol.frames import Envelope
from mensajeria.protocol.ids import Uid
from tests.attacks.evil import Rule
from tests.attacks.forging import Impostor, ServeKeys, contact_of, keys_of, list_known
from tests.attacks.stage import Actor, Stage

pytestmark = pytest.mark.slow


async def trust_of(actor: Actor, other: Actor) -> Trust:
    trust: Trust = (await actor.read(contact_of(other.uid))).trust
    return trust


class OldAgain(Rule):
    """Before and after every envelope to a user come all that the user was sent before."""

    def __init__(self, uid: bytes) -> None:
        self._uid = uid
        self._kept: list[Envelope] = []
        self._next = 1_000_000

    def envelope(self, to: bytes, envelope: Envelope) -> list[Envelope]:
        if to != self._uid:
            return [envelope]
        kept = [*self._kept]
        self._kept.append(envelope)
        return [*map(self._again, kept), envelope, *map(self._again, kept)]

    def _again(self, envelope: Envelope) -> Envelope:
        self._next += 1
        return frames.Envelope(self._next, envelope.prekey_id, envelope.blob)


async def test_a_mark_that_was_withdrawn_is_not_brought_back(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, bruno = await stage.pair()
    phone = await stage.open("phone")
    stage.evil.rule = OldAgain(bruno.uid)
    await bruno.client.security.check("ana", (await ana.client.security.of("bruno")).safety_number)
    by_device = VerificationMethod.DEVICE
    await phone.until(lambda: by_device in [e.method for e in phone.events if isinstance(e, TrustChanged)], "the mark")
    assert await trust_of(phone, ana) is Trust.VERIFIED
    await bruno.client.security.withdraw("ana")
    await bruno.client.settings.put("color", b"azul")
    await phone.until(lambda: SettingChanged("color", b"azul") in phone.events, "what was said last")
    await bruno.client.settings.put("color", b"verde")
    await phone.until(lambda: SettingChanged("color", b"verde") in phone.events, "after everything came again")
    assert await trust_of(phone, ana) is Trust.FIRST_USE


async def test_a_device_that_is_shown_another_identity_than_the_verified_one_sends_nothing(phone_stage: Stage) -> None:
    stage = phone_stage
    ana, phone = await stage.open("ana"), await stage.open("phone")
    impostor = Impostor.instead_of(list_known(await phone.read(contact_of(ana.uid))))
    stage.evil.rule = ServeKeys(ana.uid, keys_of(ana.uid, impostor.identity.record, impostor.signed), only=phone.uid)
    await stage.evil.tell(phone.uid, frames.ListChanged(ana.uid, 2))
    await phone.until(lambda: any(isinstance(event, IdentityChanged) for event in phone.events), "identity changed")
    stage.evil.rule = Rule()
    bruno = await stage.open("bruno")
    await bruno.client.security.check("ana", (await ana.client.security.of("bruno")).safety_number)
    await phone.until(lambda: any(e.blocked for e in phone.events if isinstance(e, IdentityChanged)), "blocked")
    with pytest.raises(SendBlockedError):
        await phone.send(stage.chat_id, "solo para la ana de verdad")
    assert (await phone.read(lambda tx: tx.trust.verified(Uid(ana.uid), impostor.identity.idfp))) is None
    assert impostor.device.did not in stage.evil.seen.written_to(phone.uid)
