"""Missing sessions: who gets no answer, who gets less than all, and what of an answer is not taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mensajeria.client.api import SecurityWarning
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.healing import ANSWERS_PER_HOUR, FORWARDED, WITHHELD
from mensajeria.client.engine.letters import Letter
from mensajeria.client.store import Tx
from mensajeria.client.store.key_values import KeyRequestRow, Share, ShareOutcome
from mensajeria.crypto.inbound import InboundSession
from mensajeria.crypto.sender import decode_binding, decode_room_key
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records import SessionBinding
from mensajeria.protocol.records_healing import ForwardedKey, KeyWithheld
from tests.client.engine.healing_scene import Scene, as_letter, ask, due, forwarded_from, scene, session_of, written
from tests.client.engine.stations import Station
from tests.crypto.people import NOW

__all__ = ["scene"]


# --- who gets nothing


async def test_who_is_not_in_the_chat_gets_no_answer_at_all(scene: Scene) -> None:
    rows, keys = await written(scene, "secreto")
    await scene.bruno.take(scene.ana, keys[scene.bruno.me.did])
    eva = Uid(scene.eva.uid), Did(scene.eva.device.did)
    for holder in (scene.ana, scene.bruno, scene.ana_phone):
        assert await ask(holder, eva, session_of(rows[0]), scene.chat) == []


async def test_a_device_outside_the_newest_list_gets_no_answer_at_all(scene: Scene) -> None:
    """Revoked, or never listed: the person is a member, the device is not theirs (any more)."""
    rows, _ = await written(scene, "hola")
    scene.bruno.person.remove_device(scene.bruno_phone.me.did)
    await scene.ana.learn(scene.bruno.person)
    assert await ask(scene.ana, scene.bruno_phone.address, session_of(rows[0]), scene.chat) == []
    assert await ask(scene.ana, (scene.bruno.me.uid, Did(b"g" * 16)), session_of(rows[0]), scene.chat) == []
    assert await ask(scene.ana, scene.bruno.address, session_of(rows[0]), scene.chat) != []


async def test_nobody_is_answered_in_a_chat_that_was_not_accepted(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")
    await scene.ana.store.run(lambda tx: tx.chats.set_accepted(scene.chat, accepted=False))
    assert await ask(scene.ana, scene.bruno.address, session_of(rows[0]), scene.chat) == []


async def test_a_contact_whose_new_identity_was_not_looked_at_gets_no_key(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")

    def block(tx: Tx) -> None:
        contact = tx.contacts.get(scene.bruno.me.uid)
        assert contact is not None
        tx.contacts.put(replace(contact, sending_blocked=True))

    await scene.ana.store.run(block)
    assert await ask(scene.ana, scene.bruno.address, session_of(rows[0]), scene.chat) == []


async def test_questions_of_one_device_are_answered_twenty_times_an_hour(scene: Scene) -> None:
    rows, _ = await written(scene, "hola")

    async def answered() -> bool:
        return bool(await ask(scene.ana, scene.bruno.address, session_of(rows[0]), scene.chat))

    assert [await answered() for _ in range(ANSWERS_PER_HOUR + 3)] == [True] * ANSWERS_PER_HOUR + [False] * 3
    assert await ask(scene.ana, scene.bruno_phone.address, session_of(rows[0]), scene.chat)
    scene.ana.clock.advance(3601)
    assert await answered()


async def test_refusals_count_as_answers(scene: Scene) -> None:
    unknown = SessionId(b"?" * 32)
    kinds = [await ask(scene.ana, scene.bruno.address, unknown, scene.chat) for _ in range(ANSWERS_PER_HOUR + 1)]
    assert [len(one) for one in kinds] == [1] * ANSWERS_PER_HOUR + [0]


async def test_an_unproven_export_is_not_handed_on(scene: Scene) -> None:
    """What nobody vouches for must not travel: Bruno got an export that has opened nothing yet."""
    rows, keys = await written(scene, "uno")
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    bruno = scene.bruno
    key = await forwarded_from(scene.ana_phone, bruno, scene.chat, session_of(rows[0]))
    binding = decode_room_key(keys[bruno.me.did].content)

    def keep(tx: Tx, out: Mail) -> None:
        verified = bruno.reader.binding_of(tx, out, binding.skb)
        assert verified is not None
        session = InboundSession.from_export(key.export, verified, key.skb)
        bruno.reader.keep(tx, out, verified, session, None)

    await bruno.do(keep)
    (letter,) = await ask(bruno, scene.bruno_phone.address, session_of(rows[0]), scene.chat)
    assert letter.type == WITHHELD
    await bruno.read(scene.chat, 1, rows)
    (letter,) = await ask(bruno, scene.bruno_phone.address, session_of(rows[0]), scene.chat)
    assert letter.type == FORWARDED


# --- who joined later


def joined_after(scene: Scene, monkeypatch: pytest.MonkeyPatch, holder: Station) -> None:
    """As if Bruno had not been a member when the session began."""
    real = holder.healer._memberships.of

    def of(tx: Tx, chat_id: ChatId) -> object:
        chain = real(tx, chat_id)

        class Later:
            now = chain.now

            @staticmethod
            def member_at(head: object, uid: bytes, ver: int) -> bool:
                return uid != scene.bruno.me.uid

        return Later

    monkeypatch.setattr(holder.healer, "_memberships", type("Chains", (), {"of": staticmethod(of)}))


async def test_who_joined_after_the_session_began_gets_it_from_the_index_shared_and_from_its_own_device_only(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, keys = await written(scene, "antes", "antes", "desde aquí")
    session_id = session_of(rows[0])
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    bruno = scene.bruno

    def share(tx: Tx) -> None:
        for did in (bruno.me.did, scene.bruno_phone.me.did):
            tx.outbound.put_share(session_id, Share(bruno.me.uid, did, 2, ShareOutcome.SHARED, NOW))

    await scene.ana.store.run(share)
    joined_after(scene, monkeypatch, scene.ana)
    joined_after(scene, monkeypatch, scene.ana_phone)
    (letter,) = await ask(scene.ana_phone, bruno.address, session_id, scene.chat)
    assert decode_record(KeyWithheld, letter.content).reason == "refused"
    await bruno.read(scene.chat, 1, rows)
    (letter,) = await ask(scene.ana, bruno.address, session_id, scene.chat, index=0)
    assert decode_record(ForwardedKey, letter.content).first_index == 2
    await bruno.take(scene.ana, letter)
    assert await bruno.texts(scene.chat) == ["<waiting>", "<waiting>", "desde aquí"]


async def test_who_joined_later_and_was_given_nothing_gets_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = await written(scene, "antes")

    def reshare(tx: Tx) -> None:
        """The key went to nobody of Bruno's."""
        for did in tx.outbound.shares(session_of(rows[0])):
            share = Share(Uid(scene.eva.uid), did, 0, ShareOutcome.SHARED, NOW)
            tx.outbound.put_share(session_of(rows[0]), share)

    await scene.ana.store.run(reshare)
    joined_after(scene, monkeypatch, scene.ana)
    (letter,) = await ask(scene.ana, scene.bruno.address, session_of(rows[0]), scene.chat)
    assert decode_record(KeyWithheld, letter.content).reason == "refused"


# --- false answers


async def test_a_key_that_was_not_asked_for_is_not_taken(scene: Scene) -> None:
    rows, keys = await written(scene, "hola")
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    phone = scene.bruno_phone
    key = await forwarded_from(scene.ana_phone, phone, scene.chat, session_of(rows[0]))
    await phone.take(scene.ana_phone, as_letter(phone, FORWARDED, key))
    assert await phone.store.read(lambda tx: tx.inbound.find(scene.chat, session_of(rows[0]))) == ()


async def test_a_forwarded_key_in_somebody_elses_name_is_refused(scene: Scene) -> None:
    """The binding says Bruno's phone; Ana's device signed it."""
    rows, keys = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    key = await forwarded_from(scene.ana_phone, phone, scene.chat, session_of(rows[0]))
    claims: list[dict[str, Any]] = [
        {"uid": phone.me.uid, "did": phone.me.did},
        {"did": scene.ana_phone.me.did},
        {"uid": scene.eva.uid, "dl_ver": 1},
    ]
    for claim in claims:
        binding = msgspec.structs.replace(decode_binding_of(key), **claim)
        forged = msgspec.structs.replace(key, skb=msgspec.structs.replace(key.skb, body=encode(binding)))
        mail = await phone.take(scene.ana_phone, as_letter(phone, FORWARDED, forged))
        assert [event.code for event in mail.events if isinstance(event, SecurityWarning)] == ["key_refused"]
    assert await phone.texts(scene.chat) == ["<waiting>"]


def decode_binding_of(key: ForwardedKey) -> SessionBinding:
    return decode_binding(key.skb.body)


async def test_a_poisoned_export_hurts_neither_the_signed_key_nor_the_waiting_rows(scene: Scene) -> None:
    """The right session id over another ratchet: the export is kept beside, and the row waits for the true key."""
    rows, keys = await written(scene, "hola")
    phone = scene.bruno_phone
    await phone.read(scene.chat, 1, rows)
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    key = await forwarded_from(scene.ana_phone, phone, scene.chat, session_of(rows[0]))
    poisoned = msgspec.structs.replace(key, export=poison(key.export))
    mail = await phone.take(scene.ana_phone, as_letter(phone, FORWARDED, poisoned))
    assert [event.code for event in mail.events if isinstance(event, SecurityWarning)] == []
    assert await phone.texts(scene.chat) == ["<waiting>"]
    assert await phone.store.read(lambda tx: len(tx.requests.all())) == 1
    await phone.take(scene.ana_phone, as_letter(phone, FORWARDED, key))
    assert await phone.texts(scene.chat) == ["hola"]


async def test_a_poisoned_export_beside_a_signed_key_changes_nothing(scene: Scene) -> None:
    rows, keys = await written(scene, "uno", "dos")
    phone = scene.bruno_phone
    await scene.ana_phone.take(scene.ana, keys[scene.ana_phone.me.did])
    await phone.read(scene.chat, 1, rows[:1])
    key = await forwarded_from(scene.ana_phone, phone, scene.chat, session_of(rows[0]))
    await phone.take(
        scene.ana_phone, as_letter(phone, FORWARDED, msgspec.structs.replace(key, export=poison(key.export)))
    )
    await phone.take(scene.ana, keys[phone.me.did])
    await phone.read(scene.chat, 2, rows[1:])
    assert await phone.texts(scene.chat) == ["uno", "dos"]


def poison(export: bytes) -> bytes:
    """Another ratchet under the same public key: version, index, 128 bytes of ratchet, then the key."""
    return export[:5] + bytes(128) + export[133:]


async def test_a_key_whose_authors_list_is_too_old_here_is_asked_for_again_soon(scene: Scene) -> None:
    phone = scene.bruno_phone
    scene.ana.person.add_device()
    await scene.ana.learn(scene.ana.person)
    rows, letters = await scene.ana.write(scene.chat, "con lista nueva")
    await phone.read(scene.chat, 1, rows)
    await due(phone)
    await phone.store.run(
        lambda tx: tx.requests.put(replace_next(tx.requests.all()[0], NOW + 3_600_000)),
    )
    mail = await phone.take(scene.ana, next(letter for letter in letters if letter.did == phone.me.did))
    assert mail.wanted_lists == {scene.ana.me.uid}
    assert await phone.store.read(lambda tx: tx.requests.next_due_ms()) == NOW + 1000


def replace_next(request: KeyRequestRow, next_ms: int) -> KeyRequestRow:
    return KeyRequestRow(request.key, request.idx, request.step, request.first_ms, next_ms)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xc1", bytes(100)], ids=repr)
async def test_malformed_answers_are_refused_with_a_warning(scene: Scene, content: bytes) -> None:
    for kind in (FORWARDED, WITHHELD):
        letter = Letter(scene.bruno.me.uid, scene.bruno.me.did, kind, content)
        mail = await scene.bruno.take(scene.ana, letter)
        assert [event.code for event in mail.events if isinstance(event, SecurityWarning)] == ["key_refused"]
