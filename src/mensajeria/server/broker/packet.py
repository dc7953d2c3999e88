"""What travels between processes: packets of notes and of the brokers' own words, as msgpack.

    packet = [sender, [message, ...]]       sender: the 8 random bytes by which a process is known until it loses Redis

A packet goes to one process on its own channel, or to all on the common one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mensajeria.server.broker.broker import Note

Pairs = tuple[tuple[int, int], ...]
"""(device, account) of connected devices."""


class Hello(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=20):
    """To all: I am here, with these devices; answer with yours.

    `before`: the name that I had until now, or empty. `lost`: notes of mine may not have reached you.
    """

    devices: Pairs
    before: bytes
    lost: bool


class Roster(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=21):
    """The answer to a hello: I know you; these devices are connected to me."""

    devices: Pairs


class Here(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=22):
    """To all: a device is about to connect to me; confirm with the ticket."""

    device: int
    account: int
    ticket: int


class Gone(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=23):
    """To all: a device is no longer connected to me."""

    device: int


class Confirm(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=24):
    """What I publish for that device from now on goes to you, too."""

    ticket: int


class Beat(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=25):
    """To all: a sign of life."""


class Lost(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=26):
    """Notes of mine may not have reached you."""


class Stranger(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=27):
    """I do not know you (any more): say hello again."""


class Bye(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=28):
    """To all: I end, and everything that I had to say is said."""


Word = Hello | Roster | Here | Gone | Confirm | Beat | Lost | Stranger | Bye
Message = Note | Word
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, list[Message]]).decode


class PacketError(ValueError):
    """These bytes are not a packet of this version."""


def encode_packet(sender: bytes, messages: list[Message]) -> bytes:
    """The packet's bytes."""
    return _encode((sender, messages))


def decode_packet(data: bytes) -> tuple[bytes, list[Message]]:
    """Sender and messages.

    Raises:
        PacketError: see there.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PacketError(str(error)) from None
