"""Bodies of message types: one encoding, bounds, and nothing but the declared error for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.engine.kinds import known_kinds
from mensajeria.protocol import limits
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records import MembershipHead, MessageInner, Reference
from mensajeria.protocol.records_messages import DELETE, EDIT, REACTION, TIMER, DeleteBody, EditBody, ReactionBody

ABOUT = Reference(b"u" * 16, b"m" * 16)
TYPES = (EDIT, REACTION, DELETE, TIMER, "text")


def inner(*refs: Reference) -> MessageInner:
    head = MembershipHead(0, bytes(32), bytes(32))
    return MessageInner(
        t="x", chat_id=bytes(32), uid=bytes(16), did=bytes(16), session_id=bytes(32), mid=bytes(16), ts=0, mhead=head,
        refs=refs, body=b"",
    )  # fmt: skip


@given(st.sampled_from(TYPES), st.binary(max_size=200), st.integers(0, 3))
def test_any_bytes_give_a_value_or_the_declared_error(name: str, body: bytes, refs: int) -> None:
    kind = known_kinds()._kinds[name]
    try:
        kind.parse(inner(*[ABOUT] * refs), body)
    except MalformedError:
        return
    assert refs <= 1


@pytest.mark.parametrize("refs", [0, 2])
@pytest.mark.parametrize(
    ("name", "body"),
    [(EDIT, EditBody(text="x")), (REACTION, ReactionBody(emoji="👍")), (DELETE, DeleteBody())],
)
def test_a_change_is_about_exactly_one_message(name: str, body: object, refs: int) -> None:
    kind = known_kinds()._kinds[name]
    assert kind.parse(inner(ABOUT), encode(body))
    with pytest.raises(MalformedError):
        kind.parse(inner(*[ABOUT] * refs), encode(body))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (EDIT, {"text": ""}),
        (EDIT, {"text": "é" * (limits.TEXT_MAX_BYTES // 2 + 1)}),
        (EDIT, {"text": "x", "more": 1}),
        (REACTION, {"emoji": "no"}),
        (REACTION, {"emoji": "👍" * 20}),
        (DELETE, {"idx": 0, "session_id": b"x" * 31}),
        (DELETE, {"idx": 1, "session_id": b""}),
        (TIMER, {"seconds": -1}),
        (TIMER, {"seconds": limits.MAX_TIMER_S + 1}),
    ],
)
def test_bodies_have_bounds(name: str, body: object) -> None:
    with pytest.raises(MalformedError):
        known_kinds()._kinds[name].parse(inner() if name == TIMER else inner(ABOUT), encode(body))


def test_a_timer_is_about_no_message() -> None:
    body = encode({"seconds": 60})
    assert known_kinds()._kinds[TIMER].parse(inner(), body) == 60
    with pytest.raises(MalformedError):
        known_kinds()._kinds[TIMER].parse(inner(ABOUT), body)
