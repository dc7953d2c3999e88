"""A stored state is sealed under a key of its own each time: two of one object have nothing in common."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest

from mensajeria.crypto.olm import OlmPeer
from mensajeria.kit.secrets import Secret
from tests.crypto.people import DirectChat, Person, envelope


def _device() -> tuple[Callable[[], Secret], str]:
    return Person("ana").device.dump, "account"


def _outbound() -> tuple[Callable[[], Secret], str]:
    return DirectChat(Person("ana"), Person("bruno")).outbound.dump, "pickle"


@pytest.mark.parametrize("made", [_device, _outbound])
def test_two_pickles_of_one_state_share_no_key_and_no_block(
    made: Callable[[], tuple[Callable[[], Secret], str]],
) -> None:
    dump, name = made()
    one, two = (msgspec.msgpack.decode(dump().reveal()) for _ in range(2))
    assert one["pickle_key"] != two["pickle_key"]
    assert not blocks(one[name]) & blocks(two[name])


def test_an_envelope_leaves_its_session_under_a_new_key() -> None:
    ana, bruno = Person("ana"), Person("bruno")
    first = envelope(ana, bruno).peer
    after = envelope(ana, bruno, peer=first, new_session=False).peer
    assert key_of(first) != key_of(after)
    assert not blocks(first.sessions[0].pickle) & blocks(after.sessions[0].pickle)


def key_of(peer: OlmPeer) -> bytes:
    return peer.sessions[0].pickle_key


def blocks(pickle: str) -> set[bytes]:
    data = base64.b64decode(pickle + "=" * (-len(pickle) % 4))
    assert len(data) > 100
    return {data[at : at + 16] for at in range(0, len(data) - 15, 16)}
