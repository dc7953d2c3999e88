"""A device's keys at their limits: what it publishes, when it renews, what it forgets, and what it stores."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
import vodozemac

from mensajeria.crypto.device import DeviceKeys, StateError, UnknownPrekeyError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import OneTimeKey, PqPrekey, Signed
from mensajeria.protocol.signing import Ctx, verify_ed25519
from tests.crypto.people import DAY, NOW
from tests.second.encoding import cat

UID = b"u" * 16


@pytest.fixture
def device() -> DeviceKeys:
    made = DeviceKeys.create(UID)
    made.first_prekeys(NOW)
    made.mark_published()
    return made


def pq_of(device: DeviceKeys, signed: Signed | None) -> PqPrekey:
    assert signed is not None
    verify_ed25519(device.ed25519, Ctx.PQ_PREKEY, signed.body, signed.sig)
    return decode_record(PqPrekey, signed.body)


def key_of(device: DeviceKeys, ctx: Ctx, signed: Signed | None) -> bytes:
    assert signed is not None
    verify_ed25519(device.ed25519, ctx, signed.body, signed.sig)
    record = decode_record(OneTimeKey, signed.body)
    assert (record.uid, record.did) == (device.uid, device.did)
    return record.key


def stored(device: DeviceKeys) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.msgpack.decode(device.dump().reveal())
    return found


# --- who it is


def test_a_device_has_the_id_that_it_was_given_or_a_random_one() -> None:
    assert DeviceKeys.create(UID, b"d" * 16).did == b"d" * 16
    one, two = DeviceKeys.create(UID), DeviceKeys.create(UID)
    assert len(one.did) == 16
    assert one.did != two.did
    assert one.uid == UID


def test_a_card_shows_the_keys_and_proves_them_for_one_identity(device: DeviceKeys) -> None:
    card = device.card(b"i" * 32, NOW + 3)
    account = device.account
    assert card.did == device.did
    assert card.created == NOW + 3
    assert card.curve25519 == account.curve25519_key.to_bytes()
    said = cat(UID, device.did, b"i" * 32, card.ed25519, card.curve25519)
    verify_ed25519(card.ed25519, Ctx.DEVICE, said, card.pop)


# --- what it publishes


def test_a_new_device_has_no_hybrid_prekey_and_nothing_to_mark_as_published() -> None:
    made = DeviceKeys.create(UID)
    assert made.pq_prekey_id == 0
    made.mark_published()
    assert made.pq_prekey_id == 0


def test_the_first_hybrid_prekey_says_whose_it_is_and_until_when() -> None:
    made = DeviceKeys.create(UID)
    first = pq_of(made, made.first_prekeys(NOW).pq)
    assert first == PqPrekey(
        uid=UID,
        did=made.did,
        prekey_id=1,
        key=made.private_prekey(1).public,
        created=NOW,
        expires=NOW + 30 * DAY,
    )
    assert made.pq_prekey_id == 1


def test_the_first_prekeys_are_signed_each_as_what_it_is() -> None:
    made = DeviceKeys.create(UID)
    first = made.first_prekeys(NOW)
    keys = {key_of(made, Ctx.OTK, one) for one in first.one_time}
    assert len(keys) == limits.OTK_TARGET
    assert key_of(made, Ctx.FALLBACK, first.fallback) not in keys


def test_what_was_not_published_is_offered_again_beside_what_is_new() -> None:
    made = DeviceKeys.create(UID)
    first = {signed.body for signed in made.new_one_time_keys(3)}
    again = {signed.body for signed in made.new_one_time_keys(2)}
    assert len(first) == 3
    assert len(again) == 5
    assert first < again
    made.mark_published()
    assert made.new_one_time_keys(0) == ()


def test_an_upload_never_has_more_keys_than_the_server_takes() -> None:
    made = DeviceKeys.create(UID)
    most = min(limits.OTK_UPLOAD_MAX, vodozemac.Account().max_number_of_one_time_keys)
    assert len(made.new_one_time_keys(most - 1)) == most - 1
    assert len(made.new_one_time_keys(5)) == most
    assert len(made.new_one_time_keys(1)) == most


def test_fewer_than_no_keys_are_none() -> None:
    assert DeviceKeys.create(UID).new_one_time_keys(-3) == ()


# --- when it renews


def test_a_device_without_prekeys_makes_them_at_its_first_rotation() -> None:
    made = DeviceKeys.create(UID)
    rotated = made.rotate(NOW)
    assert rotated is not None
    assert rotated.one_time == ()
    assert pq_of(made, rotated.pq).prekey_id == 1
    assert key_of(made, Ctx.FALLBACK, rotated.fallback)


def test_the_fallback_key_is_due_to_the_millisecond(device: DeviceKeys) -> None:
    state = stored(device)
    state["prekeys"][0]["created"] += DAY  # only the fallback key is due
    aged = DeviceKeys.load(Secret(encode(state)))
    assert aged.rotate(NOW + 7 * DAY - 1) is None
    rotated = aged.rotate(NOW + 7 * DAY)
    assert rotated is not None
    assert rotated.pq is None
    assert rotated.fallback is not None


def test_the_hybrid_prekey_is_due_by_itself(device: DeviceKeys) -> None:
    state = stored(device) | {"fallback_created": NOW + DAY}
    aged = DeviceKeys.load(Secret(encode(state)))
    rotated = aged.rotate(NOW + 7 * DAY)
    assert rotated is not None
    assert rotated.fallback is None
    assert pq_of(aged, rotated.pq) == PqPrekey(
        uid=UID,
        did=aged.did,
        prekey_id=2,
        key=aged.private_prekey(2).public,
        created=NOW + 7 * DAY,
        expires=NOW + 37 * DAY,
    )


def test_a_private_half_goes_when_it_was_superseded_thirty_days_ago(device: DeviceKeys) -> None:
    device.rotate(NOW + 7 * DAY)
    device.rotate(NOW + 37 * DAY - 1)
    assert device.private_prekey(1).public != device.private_prekey(2).public
    device.rotate(NOW + 37 * DAY)
    with pytest.raises(UnknownPrekeyError, match=r"^1$"):
        device.private_prekey(1)
    device.private_prekey(2)


def test_each_private_half_counts_from_when_it_was_superseded(device: DeviceKeys) -> None:
    device.rotate(NOW + 7 * DAY)
    device.rotate(NOW + 14 * DAY)
    found = [(key["prekey_id"], key["created"], key["superseded"]) for key in stored(device)["prekeys"]]
    assert found == [
        (1, NOW, NOW + 7 * DAY),
        (2, NOW + 7 * DAY, NOW + 14 * DAY),
        (3, NOW + 14 * DAY, 0),
    ]


def test_only_the_newest_key_was_published(device: DeviceKeys) -> None:
    device.rotate(NOW + 7 * DAY)
    device.rotate(NOW + 14 * DAY)
    device.mark_published()
    assert [key["published"] for key in stored(device)["prekeys"]] == [True, False, True]
    assert device.rotate(NOW + 14 * DAY) is None


def test_a_new_key_counts_as_not_published() -> None:
    made = DeviceKeys.create(UID)
    made.first_prekeys(NOW)
    assert stored(made)["prekeys"][0]["published"] is False


# --- what it stores


def test_a_stored_device_is_the_same_again(device: DeviceKeys) -> None:
    device.rotate(NOW + 7 * DAY)
    device.mark_published()
    device.rotate(NOW + 14 * DAY)
    again = DeviceKeys.load(device.dump())
    assert (again.uid, again.did, again.ed25519, again.curve25519) == (
        device.uid,
        device.did,
        device.ed25519,
        device.curve25519,
    )
    changing = ("pickle_key", "account")
    one, two = stored(device), stored(again)
    assert {name: value for name, value in one.items() if name not in changing} == {
        name: value for name, value in two.items() if name not in changing
    }
    assert again.private_prekey(2).public == device.private_prekey(2).public
    assert again.sign(Ctx.DEVICE, b"x") == device.sign(Ctx.DEVICE, b"x")


@pytest.mark.parametrize(
    "changes",
    [{"account": "junk"}, {"pickle_key": bytes(32)}, {"did": b""}, {"v": 2}, {"prekeys": [{"prekey_id": 1}]}],
)
def test_a_damaged_state_is_refused(device: DeviceKeys, changes: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        DeviceKeys.load(Secret(encode(stored(device) | changes)))
    with pytest.raises(StateError):
        DeviceKeys.load(Secret(os.urandom(40)))
