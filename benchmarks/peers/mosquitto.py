"""Mosquitto: MQTT 3.1.1 with QoS 1 and persistent sessions. A bound for publish and subscribe, not a messaging server:
it keeps no history, and a crash loses what came since the last snapshot."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast

from benchmarks.lib import proc
from benchmarks.lib.peer import OnBody, Peer, Session, package_version
from tests.support.lifeline import Run
from tests.support.net import free_port

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _DISCONNECT = 1, 2, 3, 4, 8, 9, 14
_QOS1: Final = 2
_GROUP: Final = "g/bench"
_CONFIGURATION: Final = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {data}/
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_type error
"""


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = length >> 7, length & 127
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, on_body: OnBody) -> None:
        self._on_body = on_body
        self._buffer = b""
        self._last_id = 0
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        acks = [_packet(_PUBACK, 0, number) for kind, packet in self._packets() if (number := self._take(kind, packet))]
        if acks:
            self.write(b"".join(acks))

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        """The whole packets in the buffer: first byte and body."""
        buffer, at = self._buffer, 0
        while (size := _size(buffer, at)) is not None and len(buffer) >= sum(size):
            start, length = size
            yield buffer[at], buffer[start : start + length]
            at = start + length
        self._buffer = buffer[at:]

    def _take(self, first: int, packet: bytes) -> bytes:
        """Handle a packet; the number to acknowledge, if any."""
        kind, number = first >> 4, b""
        if kind == _PUBLISH:
            at = 2 + struct.unpack_from(">H", packet)[0]
            if first & 6:
                number = packet[at : at + 2]
                at += 2
            self._on_body(packet[at : at + 8])
        elif (waiting := self._answers.pop(kind, None)) is not None:
            waiting.set_result(None)
        return number

    def write(self, data: bytes) -> None:
        """Send."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._transport.write(data)

    async def ask(self, packet: bytes, kind: int) -> None:
        """Send, and wait for a packet of this kind."""
        waiting = self._answers[kind] = asyncio.get_running_loop().create_future()
        self.write(packet)
        await asyncio.wait_for(waiting, 30)

    def next_id(self) -> bytes:
        """The next packet's number."""
        self._last_id = self._last_id % 65_535 + 1
        return struct.pack(">H", self._last_id)

    def close(self) -> None:
        """Disconnect."""
        self.write(_packet(_DISCONNECT, 0, b""))
        if self._transport is not None:
            self._transport.close()


def _size(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins, and its length; None while that is not known."""
    length = shift = 0
    for place in range(at + 1, len(buffer)):
        length |= (buffer[place] & 127) << shift
        shift += 7
        if not buffer[place] & 128:
            return place + 1, length
    return None


class MqttSession:
    """See `Session`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _publish(self, topic: str, body: bytes) -> None:
        self._client.write(_packet(_PUBLISH, _QOS1, _text(topic) + self._client.next_id() + body))

    def send(self, to: int, body: bytes) -> None:
        self._publish(f"u/{to}", body)

    def send_group(self, body: bytes) -> None:
        self._publish(_GROUP, body)

    async def subscribe(self, topic: str) -> None:
        """Receive what is published there."""
        await self._client.ask(_packet(_SUBSCRIBE, 2, self._client.next_id() + _text(topic) + b"\x01"), _SUBACK)

    async def close(self) -> None:
        self._client.close()


class Mosquitto(Peer):
    """See the module."""

    name = "mosquitto"
    durability = "in memory, a snapshot every 30 minutes; no fsync per message, no history"
    install = "apt-get install mosquitto"

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def _program(cls) -> str | None:
        return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

    @classmethod
    def is_available(cls) -> bool:
        return cls._program() is not None

    def version(self) -> str:
        return package_version("mosquitto")

    def start(self) -> None:
        user = proc.service_user("mosquitto")
        data = proc.folder_for(self.folder / "data", user)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(_CONFIGURATION.format(port=self._port, data=data))
        program = self._program()
        assert program is not None
        self._process = proc.spawn([program, "-c", configuration], log=self.folder / "mosquitto.log", user=user)
        proc.wait_for_port(self._port, self._process)

    def stop(self) -> None:
        proc.stop(self._process)

    def roots(self) -> dict[str, int]:
        assert self._process is not None
        return {"server": self._process.pid}

    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Client(on_body), "127.0.0.1", self._port)
        hello = _text("MQTT") + b"\x04\x00" + struct.pack(">H", 300) + _text(f"c{user}")
        await client.ask(_packet(_CONNECT, 0, hello), _CONNACK)
        session = MqttSession(client)
        if receives:
            await session.subscribe(f"u/{user}")
        return session

    async def group(self, sessions: Sequence[Session]) -> None:
        for session in sessions[1:]:
            await cast("MqttSession", session).subscribe(_GROUP)
