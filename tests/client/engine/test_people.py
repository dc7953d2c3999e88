"""What a server serves of a person: which of it is believed, and what a changed identity does to trust."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mensajeria.client.api import Trust
from mensajeria.client.engine.people import Served, list_of, new_contact, updated_contact, verified_list, verify_served
from mensajeria.client.errors import SecurityError
from mensajeria.client.store.values import Contact
from mensajeria.protocol.devices import MissingListsError, UnsupportedListError, VerifiedList, check_first_list
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Idfp
from mensajeria.protocol.records import Signed
from mensajeria.protocol.signing import Ctx
from tests.client.blank import blank_store
from tests.crypto.people import NOW, Person


class Ana(Person):
    """Her list has reached its third version."""

    def __init__(self) -> None:
        super().__init__("ana")
        self.history = [self.signed_list]
        for _ in range(2):
            self.add_device()
            self.history.append(self.signed_list)


@pytest.fixture(scope="module")
def ana() -> Ana:
    return Ana()


def version(ana: Ana, number: int) -> Signed:
    return ana.history[number - 1]


def served(ana: Ana, number: int) -> Served:
    return Served(ana.uid, ana.record, version(ana, number))


def known(ana: Ana, number: int) -> Contact:
    now = served(ana, number)
    return new_contact(verify_served(now, None), now, NOW)


def moved(ana: Ana) -> tuple[VerifiedList, Served]:
    """The same user under another identity."""
    new = Person("ana", ana.uid)
    verified = check_first_list(new.signed_list, new.record, uid=new.uid, handle="ana")
    return verified, Served(new.uid, new.record, new.signed_list)


# --- what is believed


def test_what_is_believed_is_what_was_served(ana: Ana) -> None:
    contact = known(ana, 3)
    assert contact == Contact(
        uid=contact.uid,
        handle="ana",
        identity=ana.record,
        idfp=Idfp(ana.idfp),
        list_ver=3,
        list_hash=ana.list.hash,
        list_body=ana.list.body,
        list_sig=ana.signed_list.sig,
        updated_ms=NOW,
    )
    assert contact.uid == ana.uid
    assert contact.trust is Trust.FIRST_USE


def test_the_kept_list_is_the_verified_one(ana: Ana) -> None:
    kept = verified_list(known(ana, 3))
    assert kept == ana.list
    assert [kept.find(device.did) for device in ana.list.list.devices] == list(ana.list.list.devices)


def test_an_older_list_than_the_pinned_one_is_refused(ana: Ana) -> None:
    with pytest.raises(SecurityError) as caught:
        verify_served(served(ana, 2), known(ana, 3))
    assert (caught.value.code, caught.value.params) == ("list_rolled_back", {"handle": "ana"})


def test_a_second_list_of_the_pinned_version_is_refused(ana: Ana) -> None:
    pinned = replace(known(ana, 3), list_hash=b"\x01" * 32)
    with pytest.raises(SecurityError) as caught:
        verify_served(served(ana, 3), pinned)
    assert (caught.value.code, caught.value.params) == ("list_forked", {"handle": "ana"})


def test_a_list_that_somebody_else_signed_is_refused(ana: Ana) -> None:
    forged = replace(served(ana, 3), device_list=Signed(ana.signed_list.body, bytes(len(ana.signed_list.sig))))
    with pytest.raises(SecurityError) as caught:
        verify_served(forged, known(ana, 3))
    assert (caught.value.code, caught.value.params) == ("list_invalid", {"handle": "ana"})
    with pytest.raises(SecurityError) as caught:
        verify_served(forged, None)
    assert (caught.value.code, caught.value.params) == ("list_invalid", {"handle": "?"})


def test_the_list_of_another_person_is_refused(ana: Ana) -> None:
    with pytest.raises(SecurityError, match="user"):
        verify_served(replace(served(ana, 3), uid=b"\x07" * 16), None)


def test_the_versions_between_are_asked_for_and_followed(ana: Ana) -> None:
    with pytest.raises(MissingListsError) as caught:
        verify_served(served(ana, 3), known(ana, 1))
    assert (caught.value.after, caught.value.upto) == (1, 3)
    assert verify_served(served(ana, 3), known(ana, 1), [version(ana, 2).body]) == ana.list


def test_other_versions_between_are_a_fork(ana: Ana) -> None:
    with pytest.raises(SecurityError) as caught:
        verify_served(served(ana, 3), known(ana, 1), [version(ana, 1).body])
    assert caught.value.code == "list_forked"


def test_a_list_of_a_newer_program_is_no_attack(ana: Ana) -> None:
    body = encode(of_a_newer_program(ana))
    newer = Served(ana.uid, ana.record, Signed(body, ana.identity.sign(Ctx.DEVICE_LIST, body)))
    with pytest.raises(UnsupportedListError):
        verify_served(newer, known(ana, 3))


def of_a_newer_program(ana: Ana) -> dict[str, object]:
    return {**{name: getattr(ana.list.list, name) for name in ana.list.list.__struct_fields__}, "v": 99}


# --- trust


@pytest.mark.parametrize("trust", list(Trust))
def test_a_newer_list_of_the_same_identity_changes_no_trust(ana: Ana, trust: Trust) -> None:
    before = replace(
        known(ana, 2), trust=trust, announced_ver=7, sending_blocked=True, former_idfp=Idfp(b"\x09" * 32), updated_ms=1
    )
    after = updated_contact(before, ana.list, served(ana, 3), NOW)
    assert after == replace(
        known(ana, 3), trust=trust, announced_ver=7, sending_blocked=True, former_idfp=Idfp(b"\x09" * 32)
    )


@pytest.mark.parametrize("trust", list(Trust))
def test_another_identity_is_changed_and_blocks_who_was_verified(ana: Ana, trust: Trust) -> None:
    before = replace(known(ana, 3), trust=trust)
    verified, now = moved(ana)
    after = updated_contact(before, verified, now, NOW)
    assert after.trust is Trust.CHANGED
    assert after.sending_blocked is trust.is_verified
    assert after.former_idfp == ana.idfp
    assert after.idfp == verified.idfp != ana.idfp


def test_another_identity_does_not_lift_a_block(ana: Ana) -> None:
    before = replace(known(ana, 3), trust=Trust.CHANGED, sending_blocked=True)
    verified, now = moved(ana)
    assert updated_contact(before, verified, now, NOW).sending_blocked


# --- what the store knows


async def test_the_list_of_somebody_is_the_kept_one_and_of_a_stranger_none(ana: Ana, tmp_path: Path) -> None:
    async with await blank_store(tmp_path / "own.db") as store:
        await store.run(lambda tx: tx.contacts.put(known(ana, 3)))
        assert await store.read(lambda tx: list_of(tx, ana.uid)) == ana.list
        assert await store.read(lambda tx: list_of(tx, b"x" * 16)) is None
