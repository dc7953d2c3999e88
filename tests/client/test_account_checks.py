"""What a server may say of the own account, and what it may not: at a login, a recovery, a renewal and a reset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace as with_fields

from mensajeria.client.account_checks import (
    check_pinned,
    check_registered,
    recovered_root,
    renewed,
    unwrap_root,
    verify_login,
)
from mensajeria.client.engine.people import Served, new_contact
from mensajeria.client.errors import ClientError, RefusedError, SecurityError, StateError
from mensajeria.client.store.values import Contact
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.devices import verify_device_list
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records import Signed
from mensajeria.protocol.succession import verify_succession
from tests.crypto.people import NOW, Person

if TYPE_CHECKING:
    from mensajeria.crypto.password import LoginProof

KEY = Secret(b"k" * 64)
LOGIN = cast("LoginProof", SimpleNamespace(export_key=KEY))


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


@pytest.fixture(scope="module")
def eva() -> Person:
    return Person("eva")


def served(who: Person) -> auth.LoginOk:
    return auth.LoginOk(
        who.uid,
        who.root.root_ver,
        who.root.wrap_password(who.uid, KEY),
        who.root.wrap_recovery(who.uid, who.code),
        who.record,
        who.signed_list,
    )


def pinned(who: Person) -> Contact:
    return new_contact(who.list, Served(who.uid, who.record, who.signed_list), NOW)


@contextmanager
def refused(code: str, why: str) -> Iterator[None]:
    with pytest.raises(SecurityError) as caught:
        yield
    assert (caught.value.code, caught.value.detail) == (code, why)


# --- what was registered, and what is pinned


def test_what_was_registered_is_served(ana: Person) -> None:
    check_registered(served(ana), Served(ana.uid, ana.record, ana.signed_list))


@pytest.mark.parametrize("other", ["uid", "identity", "device_list"])
def test_anything_else_than_what_was_registered_is_refused(ana: Person, eva: Person, other: str) -> None:
    false = with_fields(served(ana), **{other: getattr(served(eva), other)})
    with refused("login_tampered", "the server does not serve what was registered"):
        check_registered(false, Served(ana.uid, ana.record, ana.signed_list))


def test_the_pinned_identity_or_the_announced_one_is_served(ana: Person, eva: Person) -> None:
    check_pinned(served(ana), "ana", pinned(ana))
    check_pinned(with_fields(served(ana), identity=eva.record), "ana", pinned(ana), eva.record)


@pytest.mark.parametrize("other", ["uid", "identity"])
@pytest.mark.parametrize("announced", [None, b"a record"])
def test_another_account_or_identity_than_the_pinned_one_is_refused(
    ana: Person, eva: Person, other: str, announced: bytes | None
) -> None:
    false = with_fields(served(ana), **{other: getattr(served(eva), other)})
    with pytest.raises(SecurityError) as caught:
        check_pinned(false, "ana", pinned(ana), announced)
    assert (caught.value.code, caught.value.params) == ("identity_swapped", {"handle": "ana"})


# --- the own list


def test_the_own_list_is_judged_like_anybody_s(ana: Person) -> None:
    assert verify_login(served(ana), "ana", None) == ana.list
    assert verify_login(served(ana), "ana", pinned(ana)) == ana.list


def test_a_list_to_continue_after_a_reset_is_judged_in_the_same_way(ana: Person, eva: Person) -> None:
    challenge = auth.ResetChallenge(bytes(16), ana.uid, b"response", ana.record, ana.signed_list, 1)
    assert verify_login(challenge, "ana", None) == ana.list
    with pytest.raises(SecurityError, match="list_invalid"):
        verify_login(with_fields(challenge, identity=eva.record), "ana", None)


def test_a_list_of_another_name_is_refused(ana: Person) -> None:
    with pytest.raises(SecurityError) as caught:
        verify_login(served(ana), "eva", None)
    assert (caught.value.code, caught.value.params) == ("identity_swapped", {"handle": "eva"})


def test_a_list_that_nobody_signed_is_refused(ana: Person) -> None:
    forged = Signed(ana.signed_list.body, bytes(len(ana.signed_list.sig)))
    with pytest.raises(SecurityError, match="list_invalid"):
        verify_login(with_fields(served(ana), device_list=forged), "ana", None)


def test_an_older_list_than_the_pinned_one_is_refused() -> None:
    ana = Person("ana")
    before = served(ana)
    ana.add_device()
    with pytest.raises(SecurityError, match="list_rolled_back"):
        verify_login(before, "ana", pinned(ana))


def test_a_list_far_above_the_pinned_one_is_taken_until_those_between_are_fetched() -> None:
    ana = Person("ana")
    known = pinned(ana)
    for _ in range(2):
        ana.add_device()
    assert verify_login(served(ana), "ana", known) == ana.list


def test_a_list_of_a_newer_program_is_told(ana: Person) -> None:
    newer = ana.sign_list(v=2)
    with pytest.raises(ClientError) as caught:
        verify_login(with_fields(served(ana), device_list=newer), "ana", None)
    assert caught.value.code == "newer_version"


# --- the account root


def test_the_password_opens_the_root_of_the_identity(ana: Person) -> None:
    root, identity = unwrap_root(LOGIN, served(ana))
    assert root.backup_key(1).reveal() == ana.root.backup_key(1).reveal()
    assert identity.record == ana.record


def test_a_root_of_another_identity_is_refused(ana: Person) -> None:
    """The server has put an identity of its own in the place of the true one."""
    other = AccountRoot.generate().identity(ana.uid, ana.code.public)
    with refused("identity_swapped", "the identity is not the account root's"):
        unwrap_root(LOGIN, with_fields(served(ana), identity=other.record))


@pytest.mark.parametrize("what", ["of another account", "altered", "another password", "no identity"])
def test_a_root_that_does_not_open_is_refused(ana: Person, eva: Person, what: str) -> None:
    good = served(ana)
    false = {
        "of another account": with_fields(good, wrap_password=served(eva).wrap_password),
        "altered": with_fields(good, wrap_password=good.wrap_password[:-1] + bytes([good.wrap_password[-1] ^ 1])),
        "another password": with_fields(good, wrap_password=ana.root.wrap_password(ana.uid, Secret(bytes(64)))),
        "no identity": with_fields(good, identity=b"\x80"),
    }[what]
    with refused("login_tampered", "the account root does not open"):
        unwrap_root(LOGIN, false)


def recovery(who: Person, **changes: object) -> auth.RecoveryChallenge:
    wrap = who.root.wrap_recovery(who.uid, who.code)
    good = auth.RecoveryChallenge(bytes(16), bytes(32), who.uid, b"response", who.record, wrap, who.root.root_ver)
    return with_fields(good, **changes)


def test_the_recovery_code_opens_the_root(ana: Person) -> None:
    for known in (None, pinned(ana)):
        root = recovered_root(recovery(ana), ana.code, known)
        assert root.backup_key(1).reveal() == ana.root.backup_key(1).reveal()


@pytest.mark.parametrize("other", ["uid", "identity"])
def test_a_device_that_has_pinned_another_one_recovers_nothing(ana: Person, eva: Person, other: str) -> None:
    known = replace(pinned(ana), **{other: getattr(pinned(eva), other)})
    with pytest.raises(SecurityError) as caught:
        recovered_root(recovery(ana), ana.code, known)
    assert (caught.value.code, caught.value.params) == ("identity_swapped", {"handle": "ana"})


def test_a_code_of_another_account_recovers_nothing(ana: Person) -> None:
    with pytest.raises(RefusedError) as caught:
        recovered_root(recovery(ana), RecoveryCode.generate(), None)
    assert caught.value.code == Code.RECOVERY_INVALID


@pytest.mark.parametrize("what", ["another wrap", "another account", "no identity", "another root", "another version"])
def test_a_recovered_root_that_is_not_the_identity_s_is_refused(ana: Person, eva: Person, what: str) -> None:
    other = AccountRoot.generate()
    closed = "the account root does not open"
    false, why = {
        "another wrap": (recovery(ana, wrap_recovery=eva.root.wrap_recovery(eva.uid, eva.code)), closed),
        "another account": (recovery(ana, uid=eva.uid), closed),
        "no identity": (recovery(ana, identity=b"\x80"), closed),
        "another root": (
            recovery(ana, wrap_recovery=other.wrap_recovery(ana.uid, ana.code)),
            "the identity is not the account root's",
        ),
        "another version": (recovery(ana, root_ver=2), "the account root is of another version"),
    }[what]
    with refused("login_tampered", why):
        recovered_root(false, ana.code, None)


# --- a new identity


def test_a_renewed_identity_is_the_next_one_of_the_same_account(ana: Person) -> None:
    found = renewed(ana.device, ana.code, ana.root, ana.list, NOW + 5)
    assert found.root.root_ver == ana.root.root_ver + 1
    assert found.root.identity(ana.uid, ana.code.public).record == found.identity
    opened = AccountRoot.unwrap_recovery(found.wrap_recovery, uid=ana.uid, code=ana.code)
    assert opened.backup_key(1).reveal() == found.root.backup_key(1).reveal()
    following = verify_device_list(found.device_list, found.identity, uid=ana.uid, pinned=ana.list.pin)
    [device] = following.list.devices
    assert (device.did, device.created, following.list.ts) == (ana.device.did, NOW, NOW + 5)


def test_a_renewed_identity_is_signed_for_by_the_one_of_now(ana: Person) -> None:
    found = renewed(ana.device, ana.code, ana.root, ana.list, NOW)
    step = verify_succession(found.succession)
    assert (step.uid, step.old_idfp, step.new_record) == (ana.uid, ana.idfp, found.identity)


def test_without_the_code_of_the_account_nothing_is_renewed(ana: Person) -> None:
    with pytest.raises(RefusedError) as caught:
        renewed(ana.device, RecoveryCode.generate(), ana.root, ana.list, NOW)
    assert caught.value.code == Code.RECOVERY_INVALID


def test_a_device_that_was_removed_renews_nothing(ana: Person, eva: Person) -> None:
    with pytest.raises(StateError, match="device_removed"):
        renewed(eva.device, ana.code, ana.root, ana.list, NOW)
