"""The safety number, digit by digit as docs/protocol/e2ee.md §10 writes it."""

from __future__ import annotations

from mensajeria.crypto.safety import safety_number
from tests.second.encoding import h

ANA, BRUNO = (b"a" * 16, b"1" * 32), (b"b" * 16, b"2" * 32)


def test_the_number_is_the_documents_in_either_order() -> None:
    digits = str(int.from_bytes(h("safety-number", *ANA, *BRUNO), "big") % 10**60).zfill(60)
    expected = " ".join(digits[at : at + 5] for at in range(0, 60, 5))
    assert safety_number([ANA, BRUNO]) == safety_number([BRUNO, ANA]) == expected
    assert len(expected.split()) == 12


def test_numbers_with_leading_zeros_keep_their_sixty_digits() -> None:
    """Among so many some begin with a zero: none is shorter for it."""
    numbers = [safety_number([ANA, (bytes([n]) * 16, b"2" * 32)]) for n in range(100)]
    assert {len(number) for number in numbers} == {71}
    assert any(number.startswith("0") for number in numbers)


def test_another_person_or_identity_has_another_number() -> None:
    others = [(b"c" * 16, BRUNO[1]), (BRUNO[0], b"3" * 32)]
    assert len({safety_number([ANA, other]) for other in (BRUNO, *others)}) == 3
