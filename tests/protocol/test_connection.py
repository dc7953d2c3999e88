from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames, limits
from mensajeria.protocol.codec import (
    HEADER,
    BadMacError,
    ChannelKeys,
    Direction,
    FrameReader,
    FrameWriter,
    MalformedFrameError,
    encode_plain,
)
from mensajeria.protocol.connection import (
    TRANSITIONS,
    ClientConnection,
    ConnectionClosedError,
    Phase,
    ServerConnection,
    Welcomed,
    WrongPhaseError,
)
from mensajeria.protocol.errors import Close
from tests.support.examples import examples

CK = Secret(b"k" * 32)
SERVER = b"s" * 16
CHAT = b"c" * 32


def client(ck: Secret = CK, *, nonce: bytes = b"n" * 32, server_id: bytes = SERVER) -> ClientConnection:
    return ClientConnection(ck, did=b"d" * 16, jwt="token", nonce=nonce, gen=7, server_id=server_id)


def opened(nonce: bytes = b"n" * 32) -> tuple[ClientConnection, ServerConnection]:
    ours, theirs = client(nonce=nonce), ServerConnection()
    theirs.receive(ours.hello())
    ours.receive(theirs.welcome(CK, server_id=SERVER, restore_epoch=3, nonce=b"m" * 32))
    theirs.receive(ours.send(frames.Ping(1)))
    return ours, theirs


def test_the_handshake() -> None:
    ours, theirs = client(), ServerConnection()
    hello = theirs.receive(ours.hello())
    assert isinstance(hello, frames.Hello)
    assert (hello.jwt, hello.gen) == ("token", 7)
    assert ours.receive(theirs.welcome(CK, server_id=SERVER, restore_epoch=3, nonce=b"m" * 32)) == Welcomed(3)
    assert not theirs.established
    with pytest.raises(WrongPhaseError):
        theirs.send(frames.Ping(1))
    assert theirs.receive(ours.send(frames.Cursor(CHAT, 4))) == frames.Cursor(CHAT, 4)
    assert theirs.established
    assert ours.receive(theirs.send(frames.OtkLow(2))) == frames.OtkLow(2)


def test_steps_out_of_order_are_the_own_programs_fault() -> None:
    ours = client()
    with pytest.raises(WrongPhaseError):
        ours.send(frames.Ping(1))
    ours.hello()
    with pytest.raises(WrongPhaseError):
        ours.hello()
    with pytest.raises(WrongPhaseError):
        ServerConnection().welcome(CK, server_id=SERVER, restore_epoch=0, nonce=b"m" * 32)


@pytest.mark.parametrize(
    ("ck", "server_id"), [(Secret(b"x" * 32), SERVER), (CK, b"t" * 16)], ids=["other key", "other server"]
)
def test_a_server_that_proves_nothing_is_left(ck: Secret, server_id: bytes) -> None:
    ours, theirs = client(), ServerConnection()
    theirs.receive(ours.hello())
    with pytest.raises(ConnectionClosedError) as closed:
        ours.receive(theirs.welcome(ck, server_id=server_id, restore_epoch=0, nonce=b"m" * 32))
    assert closed.value.close is Close.BAD_MAC
    with pytest.raises(ConnectionClosedError):
        ours.receive(b"")


def test_the_proof_covers_everything_in_the_welcome() -> None:
    for at in range(HEADER + 1, HEADER + 120):
        ours, theirs = client(), ServerConnection()
        theirs.receive(ours.hello())
        welcome = bytearray(theirs.welcome(CK, server_id=SERVER, restore_epoch=3, nonce=b"m" * 32))
        if at >= len(welcome):
            break
        welcome[at] ^= 1
        with pytest.raises(ConnectionClosedError):
            ours.receive(bytes(welcome))


def test_a_newer_client_is_told() -> None:
    hello = frames.Hello(2, b"d" * 16, "t", b"n" * 32, 0)
    with pytest.raises(ConnectionClosedError) as closed:
        ServerConnection().receive(encode_plain(hello))
    assert closed.value.close is Close.NEWER_VERSION


Attack = Callable[[list[bytes]], list[bytes]]
ATTACKS: dict[str, Attack] = {
    "replay": lambda f: [f[0], f[0]],
    "reorder": lambda f: [f[1], f[0]],
    "drop": lambda f: [f[0], f[2]],
    "cut": lambda f: [f[0][:-1]],
    "grown": lambda f: [f[0] + b"\x00"],
    "bit in the body": lambda f: [f[0][:-1] + bytes([f[0][-1] ^ 1])],
    "bit in the type": lambda f: [f[0][:32] + bytes([f[0][32] ^ 1]) + f[0][33:]],
    "bit in the sequence": lambda f: [f[0][:40] + bytes([f[0][40] ^ 1]) + f[0][41:]],
    "bit in the length": lambda f: [f[0][:44] + bytes([f[0][44] ^ 1]) + f[0][45:]],
    "bit in the tag": lambda f: [bytes([f[0][0] ^ 1]) + f[0][1:]],
    "no tag": lambda f: [bytes(32) + f[0][32:]],
}


@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("name", ATTACKS)
def test_altered_frames_close_the_connection(name: str, to_server: bool) -> None:
    ours, theirs = opened()
    sender, receiver = (ours, theirs) if to_server else (theirs, ours)
    sent = [sender.send(frames.Typing(CHAT, bytes(16), on=True)) for _ in range(3)]
    *before, last = ATTACKS[name](sent)
    if name in {"replay", "drop"}:
        receiver.receive(before.pop())
    assert before == [] or name == "reorder"
    with pytest.raises(ConnectionClosedError) as closed:
        receiver.receive((before or [last])[0])
    assert closed.value.close is Close.BAD_MAC
    assert receiver.phase is Phase.CLOSED


def test_a_frame_does_not_travel_back() -> None:
    ours, _ = opened()
    with pytest.raises(ConnectionClosedError) as closed:
        ours.receive(ours.send(frames.Ping(2)))
    assert closed.value.close is Close.BAD_MAC


def test_a_frame_does_not_travel_to_another_connection() -> None:
    first, _ = opened()
    _, second = opened(b"o" * 32)
    with pytest.raises(ConnectionClosedError) as closed:
        second.receive(first.send(frames.Ping(2)))
    assert closed.value.close is Close.BAD_MAC


@pytest.mark.parametrize("kind", sorted(frames.FRAMES))
def test_each_side_sends_only_its_own_frames(kind: int) -> None:
    keys = ChannelKeys.derive(b"k" * 32, b"n" * 32, b"m" * 32)
    for direction, allowed in ((Direction.CLIENT, frames.FROM_CLIENT), (Direction.SERVER, frames.FROM_SERVER)):
        data = FrameWriter(keys, direction).seal_body(kind, b"\x90")
        if kind in allowed - {1, 2}:
            continue
        with pytest.raises(MalformedFrameError, match="not allowed"):
            FrameReader(keys, direction).open(data)


def test_every_frame_is_somebodys_and_numbers_are_unique() -> None:
    assert set(frames.FRAMES) == frames.FROM_CLIENT | frames.FROM_SERVER
    assert len(frames.TYPE_OF) == len(frames.FRAMES)


def test_the_table_is_complete() -> None:
    for table in TRANSITIONS.values():
        assert Phase.CLOSED not in {phase for phase, _ in table}
        reached = {Phase.START, *table.values()}
        assert {phase for phase, _ in table} <= reached


def test_a_frame_may_not_be_larger_than_allowed() -> None:
    _, theirs = opened()
    with pytest.raises(ConnectionClosedError) as closed:
        theirs.receive(bytes(limits.MAX_FRAME + 1))
    assert closed.value.close is Close.TOO_BIG


def test_an_authentic_frame_that_is_not_allowed_is_malformed_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = opened()
    data = ours.send(frames.OtkLow(2))
    monkeypatch.setattr(limits, "MAX_FRAME", len(data))
    with pytest.raises(ConnectionClosedError) as closed:
        theirs.receive(data)
    assert closed.value.close is Close.MALFORMED


def test_an_encoded_body_is_sent_as_it_is() -> None:
    ours, theirs = opened()
    body = msgspec.msgpack.encode(frames.OtkLow(2))
    assert ours.receive(theirs.send_body(frames.TYPE_OF[frames.OtkLow], body)) == frames.OtkLow(2)


@examples(200)
@given(st.binary(max_size=200))
def test_any_bytes_close_or_pass(data: bytes) -> None:
    for receive in (ServerConnection().receive, _waiting_client().receive, opened()[1].receive, opened()[0].receive):
        with pytest.raises(ConnectionClosedError):
            receive(data)


def _waiting_client() -> ClientConnection:
    ours = client()
    ours.hello()
    return ours


@examples(300)
@given(st.sampled_from(sorted(frames.FRAMES)), st.binary(max_size=120))
def test_an_authentic_body_is_a_frame_or_malformed(kind: int, body: bytes) -> None:
    keys = ChannelKeys.derive(b"k" * 32, b"n" * 32, b"m" * 32)
    direction = Direction.CLIENT if kind in frames.FROM_CLIENT else Direction.SERVER
    try:
        frame = FrameReader(keys, direction).open(FrameWriter(keys, direction).seal_body(kind, body))
    except MalformedFrameError:
        return
    assert isinstance(frame, frames.FRAMES[kind])


def test_nothing_is_parsed_before_the_tag() -> None:
    keys = ChannelKeys.derive(b"k" * 32, b"n" * 32, b"m" * 32)
    with pytest.raises(BadMacError):
        FrameReader(keys, Direction.CLIENT).open(bytes(32) + b"\x03" + bytes(8) + b"\x00\x00\x00\x01\xff")
