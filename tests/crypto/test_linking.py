"""A link code as people copy it, and the proof that a new device has read it: of that code, by that device, alone."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.crypto.linking import PREFIX, LinkCodeError, code_text, is_proof, new_code, parse_code, prove
from mensajeria.protocol.records_healing import LinkCode, LinkProof
from tests.crypto.people import SERVER, Person
from tests.second.encoding import cat, mac
from tests.support.examples import examples


@pytest.fixture(scope="module")
def ana() -> Person:
    return Person("ana")


def code_of(ana: Person) -> LinkCode:
    return new_code(
        url="https://chat.example", server_id=SERVER, handle="ana", uid=ana.uid, idfp=ana.idfp, did=ana.device.did
    )


def test_a_code_is_read_as_it_was_shown_whatever_lines_it_was_broken_into(ana: Person) -> None:
    code = code_of(ana)
    text = code_text(code).reveal_text()
    assert text.startswith(PREFIX)
    assert parse_code(text) == code
    assert parse_code("\n  ".join(text[n : n + 20] for n in range(0, len(text), 20)) + " ") == code


def test_two_codes_share_no_secret(ana: Person) -> None:
    one, two = code_of(ana), code_of(ana)
    assert one.secret != two.secret
    assert one.link_id != two.link_id


@pytest.mark.parametrize("text", ["", PREFIX, PREFIX + "!!", "mensajeria-otra:AAAA", PREFIX + "A" * 9000])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(LinkCodeError):
        parse_code(text)


def test_any_change_of_a_code_is_refused_or_another_code(ana: Person) -> None:
    text = code_text(code_of(ana)).reveal_text()

    @examples(80, database=None)
    @given(st.integers(0, len(text) - 1), st.characters(codec="utf-8"))
    def check(at: int, letter: str) -> None:
        changed = text[:at] + letter + text[at + 1 :]
        try:
            parse_code(changed)
        except LinkCodeError:
            return

    check()


def test_the_proof_is_the_documents(ana: Person) -> None:
    """Both ends agree with each other on any formula."""
    code, device = code_of(ana), ana.list.list.devices[0]
    said = cat(b"link", ana.uid, ana.idfp, device.did, device.ed25519, device.curve25519)
    assert prove(code, device) == LinkProof(link_id=code.link_id, mac=mac(code.secret, said))


def test_a_long_text_with_the_right_beginning_and_a_short_one_with_another_are_no_codes(ana: Person) -> None:
    text = code_text(code_of(ana)).reveal_text()
    for other in (text.removeprefix(PREFIX), "mensajeria-join:" + text.removeprefix(PREFIX), text[:-3] + " A" * 4000):
        with pytest.raises(LinkCodeError):
            parse_code(other)


def test_the_proof_is_of_that_code_by_that_device(ana: Person) -> None:
    code, device = code_of(ana), ana.list.list.devices[0]
    proof = prove(code, device)
    assert is_proof(code, device, proof)
    for field in ("secret", "link_id", "uid", "idfp"):
        size = len(getattr(code, field))
        assert not is_proof(msgspec.structs.replace(code, **{field: os.urandom(size)}), device, proof)
    for field in ("did", "ed25519", "curve25519"):
        size = len(getattr(device, field))
        assert not is_proof(code, msgspec.structs.replace(device, **{field: os.urandom(size)}), proof)
    assert not is_proof(code, device, msgspec.structs.replace(proof, mac=bytes(32)))
