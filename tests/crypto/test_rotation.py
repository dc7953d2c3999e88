"""The numbers of docs/protocol/e2ee.md §9, one by one, with the time in the test's hands."""

from __future__ import annotations

import pytest
import vodozemac

from mensajeria.crypto.device import DeviceKeys, UnknownPrekeyError
from mensajeria.crypto.sender import OutboundSession, must_rotate
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.membership import ChatKind, MembershipState, Role, Row
from mensajeria.protocol.records import OneTimeKey, PqPrekey, Signed
from tests.crypto.people import NOW

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture
def device() -> DeviceKeys:
    made = DeviceKeys.create(b"u" * 16)
    made.first_prekeys(NOW)
    made.mark_published()
    return made


def pq_of(signed: Signed | None) -> PqPrekey:
    assert signed is not None
    return decode_record(PqPrekey, signed.body)


# --- the hybrid prekey


def test_the_hybrid_prekey_is_renewed_after_seven_days_and_not_before(device: DeviceKeys) -> None:
    assert device.rotate(NOW + 7 * DAY - 1) is None
    rotated = device.rotate(NOW + 7 * DAY)
    assert rotated is not None
    assert pq_of(rotated.pq).prekey_id == 2


def test_a_hybrid_prekey_is_valid_for_thirty_days(device: DeviceKeys) -> None:
    rotated = device.rotate(NOW + 7 * DAY)
    assert rotated is not None
    pq = pq_of(rotated.pq)
    assert pq.expires - pq.created == 30 * DAY


def test_a_superseded_private_half_lives_between_fourteen_and_thirty_days(device: DeviceKeys) -> None:
    device.rotate(NOW + 7 * DAY)
    device.mark_published()
    device.rotate(NOW + 7 * DAY + 14 * DAY)
    device.mark_published()
    device.private_prekey(1)
    device.rotate(NOW + 7 * DAY + 30 * DAY)
    with pytest.raises(UnknownPrekeyError):
        device.private_prekey(1)


def test_a_rotation_that_was_not_uploaded_is_offered_again_and_makes_no_second_key(device: DeviceKeys) -> None:
    first = device.rotate(NOW + 7 * DAY)
    again = device.rotate(NOW + 7 * DAY + HOUR)
    assert first is not None
    assert again is not None
    assert pq_of(first.pq) == pq_of(again.pq)


def test_a_clock_that_goes_back_renews_nothing(device: DeviceKeys) -> None:
    assert device.rotate(NOW - 365 * DAY) is None


# --- the fallback key


def fallback_of(device: DeviceKeys, now_ms: int) -> bytes:
    rotated = device.rotate(now_ms)
    assert rotated is not None
    assert rotated.fallback is not None
    device.mark_published()
    return decode_record(OneTimeKey, rotated.fallback.body).key


def accepts(device: DeviceKeys, fallback: bytes) -> bool:
    """Whether a first message that was made with the fallback key still opens."""
    sender = vodozemac.Account()
    session = sender.create_outbound_session(
        vodozemac.Curve25519PublicKey.from_bytes(device.curve25519), vodozemac.Curve25519PublicKey.from_bytes(fallback)
    )
    message = session.encrypt(b"x").to_pre_key()
    assert message is not None
    try:
        device.clone_account().create_inbound_session(sender.curve25519_key, message)
    except ValueError:
        return False
    return True


def test_the_fallback_key_is_renewed_after_seven_days_and_its_private_half_is_gone_after_fourteen(
    device: DeviceKeys,
) -> None:
    first = fallback_of(device, NOW + 7 * DAY)
    assert accepts(device, first)
    second = fallback_of(device, NOW + 14 * DAY)
    assert second != first
    assert accepts(device, first)  # seven days old: what waits in the mailbox still opens
    fallback_of(device, NOW + 21 * DAY)
    assert accepts(device, second)
    assert not accepts(device, first)


# --- one-time keys


def test_fifty_one_time_keys_are_published_first() -> None:
    assert len(DeviceKeys.create(b"u" * 16).first_prekeys(NOW).one_time) == limits.OTK_TARGET == 50


# --- sender sessions


def session(kind: ChatKind = ChatKind.DIRECT, *, messages: int = 0) -> tuple[OutboundSession, MembershipState]:
    device = DeviceKeys.create(b"u" * 16)
    state = MembershipState(b"c" * 32, kind, 3, b"h" * 32, {b"u" * 16: Row(b"u" * 16, b"", Role.MEMBER)}, epoch=3)
    made = OutboundSession.create(device, chat_id=b"c" * 32, head=state.head, dl_ver=1, now_ms=NOW)
    for _ in range(messages):
        made.encrypt(b"x")
    return made, state


SIZES = [
    (ChatKind.DIRECT, 2, 50, 8 * HOUR),
    (ChatKind.DIRECT, 300, 50, 8 * HOUR),
    (ChatKind.GROUP, 64, 100, 24 * HOUR),
    (ChatKind.GROUP, 65, 1000, 7 * DAY),
]


@pytest.mark.parametrize(("kind", "devices", "messages", "age_ms"), SIZES)
def test_a_session_ends_by_messages(kind: ChatKind, devices: int, messages: int, age_ms: int) -> None:
    used, state = session(kind, messages=messages - 1)
    assert not must_rotate(used, state=state, now_ms=NOW + age_ms - 1, devices=devices)
    used.encrypt(b"x")
    assert must_rotate(used, state=state, now_ms=NOW, devices=devices)


@pytest.mark.parametrize(("kind", "devices", "messages", "age_ms"), SIZES)
def test_a_session_ends_by_age(kind: ChatKind, devices: int, messages: int, age_ms: int) -> None:
    used, state = session(kind)
    assert not must_rotate(used, state=state, now_ms=NOW + age_ms - 1, devices=devices)
    assert must_rotate(used, state=state, now_ms=NOW + age_ms, devices=devices)
    assert messages


def test_age_and_count_wait_until_somebody_has_fetched_the_key() -> None:
    used, state = session(messages=60)
    assert not must_rotate(used, state=state, now_ms=NOW + DAY, devices=2, last_key_fetched=False)


def test_what_changes_who_may_read_waits_for_nothing() -> None:
    used, state = session()
    for epoch, timer_s in ((4, 0), (3, 60)):
        other = MembershipState(state.chat_id, state.kind, 4, b"i" * 32, state.members, epoch=epoch, timer_s=timer_s)
        assert must_rotate(used, state=other, now_ms=NOW, devices=2, last_key_fetched=False)
    assert must_rotate(used, state=state, now_ms=NOW, devices=2, own_restore=True, last_key_fetched=False)
