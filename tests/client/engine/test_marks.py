"""What is decided about a person or a request on one device, and what the person's other devices make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mensajeria.client.api import Event, IdentityChanged, SecurityKind, Trust, TrustChanged, VerificationMethod
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.people import Served
from mensajeria.client.engine.trust import mark_verified
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.root import AccountRoot
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.ids import ChatId, Did, Uid
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import SenderAddress, ToDevice
from mensajeria.protocol.records_backup import ContactSetting, SettingRecord
from tests.attacks.forging import Impostor
from tests.client.engine.own import Own, direct, opened
from tests.crypto.people import NOW, SERVER, Person

EMOJI, INVITE = VerificationMethod.EMOJI, VerificationMethod.INVITE


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


@pytest.fixture(scope="module")
def bruno() -> Served:
    made = Person("bruno")
    return Served(made.uid, made.record, made.signed_list)


@pytest.fixture(scope="module")
def other_bruno(bruno: Served) -> Served:
    """The same user under another identity, by a list that continues the first one."""
    verified = verify_device_list(bruno.device_list, bruno.identity, uid=bruno.uid)
    made = Impostor.instead_of(verified)
    return Served(bruno.uid, made.identity.record, made.signed)


@pytest.fixture
async def laptop(ana: Person, tmp_path: Path) -> AsyncIterator[Own]:
    async with opened(ana, ana.device, tmp_path) as own:
        yield own


@pytest.fixture
async def phone(ana: Person, tmp_path: Path) -> AsyncIterator[Own]:
    async with opened(ana, DeviceKeys.create(ana.uid), tmp_path) as own:
        yield own


@pytest.fixture
async def both(laptop: Own, phone: Own, bruno: Served, chat_id: ChatId) -> tuple[Own, Own]:
    """Both know Bruno and have a chat with him."""
    for own in (laptop, phone):
        await own.meet(bruno)
        await own.context.store.run(lambda tx: direct(tx, chat_id, bruno, accepted=True))
    return laptop, phone


@pytest.fixture
def chat_id(ana: Person, bruno: Served) -> ChatId:
    return ChatId(direct_chat_id(SERVER, ana.uid, bruno.uid))


def events(mail: Mail, kind: type[Event]) -> list[Event]:
    return [event for event in mail.events if isinstance(event, kind)]


def mark(uid: bytes, idfp: bytes, counter: int, *, verified: bool = True, kind: str = "contact:") -> SettingRecord:
    value = encode(ContactSetting(idfp=idfp, verified=verified))
    return SettingRecord(key=kind + uid.hex(), value=value, counter=counter, did=b"d" * 16)


@dataclass
class Moved:
    """Bruno under the identity that his own has named, and the proof."""

    served: Served
    proof: bytes


@pytest.fixture(scope="module")
def moved_bruno() -> tuple[Served, Moved]:
    person = Person("bruno")
    identity = AccountRoot.generate(2).identity(person.uid, person.code.public)
    signed = identity.take_over(person.list, person.device.card(identity.idfp, NOW), NOW)
    proof = person.identity.succession(identity.record, person.code, NOW)
    before = Served(person.uid, person.record, person.signed_list)
    return before, Moved(Served(person.uid, identity.record, signed), proof)


# --- verified


async def test_verified_on_one_device_is_verified_on_the_other(both: tuple[Own, Own], bruno: Served) -> None:
    laptop, phone = both
    known = await laptop.contact(bruno.uid)
    assert await laptop.verify(bruno, known.idfp)
    mail = await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).trust is Trust.VERIFIED
    [told] = events(mail, TrustChanged)
    assert isinstance(told, TrustChanged)
    assert (told.person.handle, told.method) == ("bruno", VerificationMethod.DEVICE)
    assert await phone.kinds(bruno.uid) == [(SecurityKind.VERIFIED, "device")]
    assert await phone.untold() == [], "what was heard is not told again"


async def test_by_invite_is_by_invite_on_the_other_too(both: tuple[Own, Own], bruno: Served) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp, INVITE)
    await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).trust is Trust.INVITE
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).trust is Trust.VERIFIED


@pytest.mark.parametrize("method", [EMOJI, INVITE])
async def test_what_is_withdrawn_is_withdrawn_everywhere(
    both: tuple[Own, Own], bruno: Served, method: VerificationMethod
) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp, method)
    await phone.hear(laptop)
    assert await phone.withdraw(bruno.uid)
    await laptop.hear(phone)
    assert (await laptop.contact(bruno.uid)).trust is Trust.FIRST_USE
    assert [kind for kind, _ in await laptop.kinds(bruno.uid)] == [SecurityKind.VERIFIED, SecurityKind.UNVERIFIED]
    assert await laptop.context.store.read(lambda tx: tx.trust.all_verified()) == ()


async def test_a_person_met_later_is_verified_when_their_keys_come(laptop: Own, phone: Own, bruno: Served) -> None:
    await laptop.meet(bruno)
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    await phone.hear(laptop)
    assert (await phone.meet(bruno)).trust is Trust.VERIFIED


async def test_marks_from_before_they_were_shared_are_told_once(both: tuple[Own, Own], bruno: Served) -> None:
    laptop, phone = both
    idfp = (await laptop.contact(bruno.uid)).idfp
    await laptop.context.commit(lambda tx, out: mark_verified(tx, out, laptop.context.me, Uid(bruno.uid), idfp, EMOJI))
    assert await laptop.untold() == []
    await laptop.context.commit(laptop.context.marks.publish)
    await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).trust is Trust.VERIFIED
    for own in both:
        await own.context.commit(own.context.marks.publish)
        assert await own.untold() == []


async def test_an_older_mark_changes_nothing(both: tuple[Own, Own], bruno: Served) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    [old] = await laptop.untold()
    await phone.take(old)
    await laptop.withdraw(bruno.uid)
    await phone.hear(laptop)
    await phone.take(old)
    assert (await phone.contact(bruno.uid)).trust is Trust.FIRST_USE


async def test_a_mark_from_somebody_else_is_refused(both: tuple[Own, Own], bruno: Served) -> None:
    laptop, _ = both
    contact = await laptop.contact(bruno.uid)
    sender = SenderAddress(uid=bruno.uid, did=b"d" * 16, idfp=contact.idfp, dl_ver=1)
    letter = ToDevice(
        t="setting", sender=sender, recipient=laptop.person.address, mid=bytes(16), ts=NOW,
        c=encode(mark(bruno.uid, contact.idfp, 9)),
    )  # fmt: skip

    def receive(tx: Tx, out: Mail) -> None:
        laptop.context.settings.received(tx, out, Uid(bruno.uid), Did(b"d" * 16), letter)

    with pytest.raises(MalformedError):
        await laptop.context.commit_with(Mail(), receive)
    assert (await laptop.contact(bruno.uid)).trust is Trust.FIRST_USE


@pytest.mark.parametrize(
    "record",
    [
        SettingRecord(key="contact:zz", value=b"\x01", counter=1, did=b"d" * 16),
        SettingRecord(key="contact:" + "AB" * 16, value=b"", counter=1, did=b"d" * 16),
        SettingRecord(key="invited:", value=b"x", counter=1, did=b"d" * 16),
        SettingRecord(key="chat:x", value=b"x", counter=1, did=b"d" * 16),
        mark(b"n" * 16, b"i" * 32, 1),
    ],
)
async def test_what_another_program_wrote_there_means_nothing(
    both: tuple[Own, Own], bruno: Served, record: SettingRecord
) -> None:
    _, phone = both
    mail = await phone.take(record)
    assert events(mail, TrustChanged) == []
    assert (await phone.contact(bruno.uid)).trust is Trust.FIRST_USE


@pytest.mark.parametrize("value", [b"", b"\x00", b"\xff" * 40, encode({"v": 2, "idfp": b"i" * 32, "verified": True})])
async def test_a_value_that_is_not_understood_verifies_nobody(
    both: tuple[Own, Own], bruno: Served, value: bytes
) -> None:
    _, phone = both
    await phone.take(SettingRecord(key="contact:" + bruno.uid.hex(), value=value, counter=1, did=b"d" * 16))
    assert (await phone.contact(bruno.uid)).trust is Trust.FIRST_USE


# --- another identity than the one that was verified


async def test_another_identity_is_never_marked_but_blocked(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served, chat_id: ChatId
) -> None:
    """The server shows this device another identity than the one that was verified on the other."""
    laptop, phone = both
    await phone.meet(other_bruno)
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    mail = await phone.hear(laptop)
    contact = await phone.contact(bruno.uid)
    assert (contact.trust, contact.sending_blocked) == (Trust.CHANGED, True)
    assert [event.blocked for event in events(mail, IdentityChanged) if isinstance(event, IdentityChanged)] == [True]
    assert mail.wanted_lists == {bruno.uid}, "whoever verified it may know a newer list"
    assert (await phone.chat(chat_id)).identity_changed


async def test_a_new_device_that_is_shown_another_identity_encrypts_nothing_to_it(
    laptop: Own, phone: Own, bruno: Served, other_bruno: Served
) -> None:
    """No trust on first use where another device of the person knows better."""
    await laptop.meet(bruno)
    known = (await laptop.contact(bruno.uid)).idfp
    await laptop.verify(bruno, known)
    await phone.hear(laptop)
    await phone.meet(other_bruno)
    contact = await phone.contact(bruno.uid)
    assert (contact.trust, contact.sending_blocked, contact.former_idfp) == (Trust.CHANGED, True, known)
    assert [kind for kind, _ in await phone.kinds(bruno.uid)] == [SecurityKind.IDENTITY_CHANGED]


async def test_a_changed_identity_that_is_verified_elsewhere_counts_when_it_comes(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served, chat_id: ChatId
) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    await phone.hear(laptop)
    await laptop.meet(other_bruno)
    new = (await laptop.contact(bruno.uid)).idfp
    assert (await laptop.contact(bruno.uid)).sending_blocked
    await laptop.verify(other_bruno, new)
    await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).sending_blocked, "the phone has only the former one yet"
    await phone.meet(other_bruno)
    contact = await phone.contact(bruno.uid)
    assert (contact.idfp, contact.trust, contact.sending_blocked) == (new, Trust.VERIFIED, False)
    assert not (await phone.chat(chat_id)).identity_changed
    assert phone.woken[-1:] == [chat_id], "what waited goes out"


async def test_a_mark_does_not_survive_a_change_of_identity(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served
) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    await phone.hear(laptop)
    for own in both:
        await own.meet(other_bruno)
        contact = await own.contact(bruno.uid)
        assert (contact.trust, contact.sending_blocked) == (Trust.CHANGED, True)


async def test_an_identity_that_comes_back_is_not_verified_by_an_old_mark(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served
) -> None:
    laptop, _ = both
    first = await laptop.contact(bruno.uid)
    await laptop.verify(bruno, first.idfp)
    await laptop.meet(other_bruno)

    def comes_back(tx: Tx) -> None:
        now = tx.contacts.get(Uid(bruno.uid))
        assert now is not None
        tx.contacts.put(with_identity(now, first))

    await laptop.context.store.run(comes_back)
    await laptop.context.commit(lambda tx, out: laptop.context.marks.met(tx, out, Uid(bruno.uid)))
    assert (await laptop.contact(bruno.uid)).trust is Trust.CHANGED


def with_identity(contact: Contact, other: Contact) -> Contact:
    return replace(contact, idfp=other.idfp, identity=other.identity)


async def test_a_change_accepted_on_one_device_is_accepted_on_the_other(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served, chat_id: ChatId
) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp)
    await phone.hear(laptop)
    for own in both:
        await own.meet(other_bruno)
    assert await laptop.accept(bruno.uid)
    await phone.hear(laptop)
    contact = await phone.contact(bruno.uid)
    assert (contact.trust, contact.sending_blocked) == (Trust.FIRST_USE, False)
    assert not (await phone.chat(chat_id)).identity_changed
    assert phone.woken[-1:] == [chat_id]
    assert (await phone.kinds(bruno.uid))[-1] == (SecurityKind.IDENTITY_ACCEPTED, None)


async def test_a_change_accepted_before_the_other_device_has_seen_it(
    both: tuple[Own, Own], bruno: Served, other_bruno: Served
) -> None:
    laptop, phone = both
    await laptop.verify(bruno, (await laptop.contact(bruno.uid)).idfp, INVITE)
    await phone.hear(laptop)
    await laptop.meet(other_bruno)
    await laptop.accept(bruno.uid)
    await phone.hear(laptop)
    assert (await phone.contact(bruno.uid)).trust is Trust.INVITE, "the former one is still that one"
    await phone.meet(other_bruno)
    contact = await phone.contact(bruno.uid)
    assert (contact.trust, contact.sending_blocked) == (Trust.FIRST_USE, False)


# --- requests


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_request_is_answered_on_every_device(
    laptop: Own, phone: Own, bruno: Served, chat_id: ChatId, accepted: bool
) -> None:
    for own in (laptop, phone):
        await own.context.store.run(lambda tx: direct(tx, chat_id, bruno, accepted=False))
    await laptop.answer(chat_id, accepted=accepted)
    mail = await phone.hear(laptop)
    chat = await phone.chat(chat_id)
    assert (chat.accepted, chat.declined) == (accepted, not accepted)
    assert chat_id in mail.touched
    assert mail.earlier is accepted, "what was written before is fetched now"


async def test_an_answer_waits_for_its_chat(laptop: Own, phone: Own, bruno: Served, chat_id: ChatId) -> None:
    await laptop.context.store.run(lambda tx: direct(tx, chat_id, bruno, accepted=False))
    await laptop.answer(chat_id, accepted=False)
    await phone.hear(laptop)

    def comes(tx: Tx, out: Mail) -> None:
        direct(tx, chat_id, bruno, accepted=False)
        phone.context.marks.chat_met(tx, out, chat_id)

    await phone.context.commit_with(Mail(), comes)
    assert (await phone.chat(chat_id)).declined


async def test_a_later_answer_replaces_the_earlier_one(laptop: Own, phone: Own, bruno: Served, chat_id: ChatId) -> None:
    for own in (laptop, phone):
        await own.context.store.run(lambda tx: direct(tx, chat_id, bruno, accepted=False))
    await laptop.answer(chat_id, accepted=False)
    await phone.hear(laptop)
    await phone.answer(chat_id, accepted=True)
    await laptop.hear(phone)
    chat = await laptop.chat(chat_id)
    assert (chat.accepted, chat.declined) == (True, False)


# --- moved by succession


async def test_who_moves_and_proves_it_stays_verified_on_both_devices(
    laptop: Own, phone: Own, moved_bruno: tuple[Served, Moved]
) -> None:
    before, after = moved_bruno
    for own in (laptop, phone):
        await own.meet(before)
    await laptop.verify(before, (await laptop.contact(before.uid)).idfp)
    await phone.hear(laptop)
    for own in (phone, laptop):
        await own.meet(after.served, after.proof)
    await phone.hear(laptop)
    for own in (laptop, phone):
        contact = await own.contact(before.uid)
        assert (contact.trust, contact.sending_blocked) == (Trust.VERIFIED, False)
        assert SecurityKind.IDENTITY_RENEWED in [kind for kind, _ in await own.kinds(before.uid)]
        assert SecurityKind.IDENTITY_CHANGED not in [kind for kind, _ in await own.kinds(before.uid)]
