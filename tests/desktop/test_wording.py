from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.i18n import Translator
from mensajeria.desktop.viewmodels.wording import Wording
from tests.desktop.material import DAY_MS, NOW_MS


@pytest.mark.parametrize(
    ("days", "short", "long"),
    [
        (0, "6:00", "Hoy"),
        (1, "Ayer", "Ayer"),
        (2, "Dom", "Domingo, 22 de noviembre"),
        (6, "Mié", "Miércoles, 18 de noviembre"),
        (7, "17/11/26", "Martes, 17 de noviembre"),
        (400, "20/10/25", "Lunes, 20 de octubre de 2025"),
    ],
)
def test_dates_in_spanish(days: int, short: str, long: str) -> None:
    wording = Wording(Translator("es"), lambda: NOW_MS, UTC)
    when = NOW_MS - days * DAY_MS
    assert wording.long_date(wording.day(when)) == long
    assert wording.short_date(when) == short


def test_a_time_in_the_future_is_shown_as_a_time(wording: Wording) -> None:
    assert wording.short_date(NOW_MS + 3 * DAY_MS) == wording.clock(NOW_MS + 3 * DAY_MS)


@given(st.integers(-(2**63), 2**63))
def test_any_time_can_be_shown(time_ms: int) -> None:
    wording = Wording(Translator("en"), lambda: NOW_MS)
    assert wording.short_date(time_ms)
    assert wording.long_date(wording.day(time_ms))
