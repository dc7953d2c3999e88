"""QR codes: what is drawn is a QR code of that size, in both forms the same."""

from __future__ import annotations

from mensajeria.client.qr import qr_modules, qr_text

TEXT = "mensajeria-verify:" + "A" * 180
_FINDER = (
    (1, 1, 1, 1, 1, 1, 1),
    (1, 0, 0, 0, 0, 0, 1),
    (1, 0, 1, 1, 1, 0, 1),
    (1, 0, 1, 1, 1, 0, 1),
    (1, 0, 1, 1, 1, 0, 1),
    (1, 0, 0, 0, 0, 0, 1),
    (1, 1, 1, 1, 1, 1, 1),
)


def test_the_modules_form_a_qr_code() -> None:
    """Three finder patterns, none in the fourth corner, and a side of 17 + 4 times the version."""
    rows = qr_modules(TEXT)
    side = len(rows)
    assert {len(row) for row in rows} == {side}
    assert (side - 17) % 4 == 0
    finder = tuple(tuple(bool(one) for one in row) for row in _FINDER)

    def corner(top: int, left: int) -> tuple[tuple[bool, ...], ...]:
        return tuple(row[left : left + 7] for row in rows[top : top + 7])

    assert corner(0, 0) == corner(0, side - 7) == corner(side - 7, 0) == finder
    assert corner(side - 7, side - 7) != finder


def test_another_text_is_another_code() -> None:
    assert qr_modules(TEXT) != qr_modules(TEXT[:-1] + "B")
    assert qr_modules(TEXT) == qr_modules(TEXT)


def test_the_terminal_s_form_holds_the_quiet_zone() -> None:
    lines, side = qr_text(TEXT).splitlines(), len(qr_modules(TEXT))
    assert {len(line) for line in lines} == {side + 8}
    assert len(lines) == (side + 8 + 1) // 2
