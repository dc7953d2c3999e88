"""When the client connects, waits, renews its login or stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.api import ConnectionPhase
from mensajeria.client.core.backoff import CAP_S, FIRST_S, Backoff
from mensajeria.client.core.link import STABLE_AFTER_S, Halt, Link, Open, Renew, Wait
from mensajeria.protocol.errors import CLOSE_MEANINGS, Close, Code

LOST = 1006


def wait_of(effect: object) -> float:
    assert isinstance(effect, Wait)
    return effect.seconds


def test_the_good_way() -> None:
    link = Link()
    assert link.start() == Open()
    phases = [link.phase]
    link.opened(0.0)
    phases.append(link.phase)
    link.caught_up()
    phases.append(link.phase)
    assert phases == [ConnectionPhase.CONNECTING, ConnectionPhase.CATCHING_UP, ConnectionPhase.ONLINE]


def test_waits_grow_and_are_bounded() -> None:
    link = Link()
    link.start()
    waits = []
    for _ in range(12):
        waits.append(wait_of(link.lost(LOST, now=0.0, chance=0.999)))
        assert link.phase is ConnectionPhase.OFFLINE
        assert link.waited() == Open()
    assert waits == sorted(waits)
    assert FIRST_S <= waits[0] <= 1
    assert waits[-1] == pytest.approx(CAP_S, rel=0.01)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_every_wait_lies_between_half_a_second_and_a_minute(chance: float, attempts: int) -> None:
    backoff = Backoff(attempts)
    assert FIRST_S <= backoff.next_delay(chance) <= CAP_S


def test_a_connection_that_held_makes_the_next_wait_short_and_a_flapping_one_does_not() -> None:
    link = Link()
    link.start()
    for _ in range(8):
        link.lost(LOST, now=0.0, chance=0.5)
        link.waited()
    link.opened(100.0)
    assert wait_of(link.lost(LOST, now=101.0, chance=0.5)) > 10
    link.waited()
    link.opened(200.0)
    assert wait_of(link.lost(LOST, now=200.0 + STABLE_AFTER_S, chance=0.5)) <= 1


def test_retry_now_only_shortens_a_wait() -> None:
    link = Link()
    link.start()
    assert link.retry_now() is None
    link.lost(LOST, now=0.0, chance=0.5)
    assert link.retry_now() == Open()
    link.opened(0.0)
    assert link.retry_now() is None


@pytest.mark.parametrize("close", list(Close))
def test_each_close_code_does_what_the_table_says(close: Close) -> None:
    link = Link()
    link.start()
    link.opened(0.0)
    effect = link.lost(close, now=1.0, chance=0.5)
    meaning = CLOSE_MEANINGS[close]
    if not meaning.reconnect:
        assert effect == Halt()
        assert link.phase is ConnectionPhase.STOPPED
        assert link.code is not None
    else:
        assert isinstance(effect, Renew if meaning.new_token else Wait)


def test_a_login_that_the_server_ends_again_after_renewal_waits_instead_of_looping() -> None:
    link = Link()
    link.start()
    assert link.lost(Close.LOGIN_ENDED, now=0.0, chance=0.5) == Renew()
    assert link.renewed() == Open()
    assert isinstance(link.lost(Close.LOGIN_ENDED, now=0.0, chance=0.5), Wait)


@pytest.mark.parametrize("code", [Code.LOGIN_REVOKED, Code.UNAUTHORIZED, Code.ACCOUNT_SUSPENDED])
def test_a_refused_renewal_ends_the_login_until_the_person_logs_in(code: Code) -> None:
    link = Link()
    link.start()
    link.lost(Close.LOGIN_ENDED, now=0.0, chance=0.5)
    assert link.renewal_failed(code, chance=0.5) == Halt()
    assert (link.phase, link.code) == (ConnectionPhase.LOGIN_ENDED, code)
    assert link.start() == Open()


def test_a_renewal_that_could_not_be_asked_is_tried_later() -> None:
    link = Link()
    link.start()
    link.lost(Close.TOO_OLD, now=0.0, chance=0.5)
    assert isinstance(link.renewal_failed("network", chance=0.5), Wait)
    assert link.phase is ConnectionPhase.OFFLINE


def test_a_restarting_server_spreads_its_clients() -> None:
    link = Link()
    link.start()
    link.opened(0.0)
    assert link.lost(Close.DRAIN, now=1.0, chance=0.25, after_s=8.0) == Wait(2.0)


def test_a_server_cannot_send_its_clients_away_for_long() -> None:
    link = Link()
    link.start()
    link.opened(0.0)
    assert wait_of(link.lost(Close.DRAIN, now=1.0, chance=0.999, after_s=4_294_967.0)) <= CAP_S
