"""Opening a WebSocket: what ends in the middle leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from picows import WSFrame, WSListener, WSTransport, ws_create_server

from mensajeria.client.errors import NetworkError
from mensajeria.client.transport import websocket
from mensajeria.client.transport.websocket import connect


class Silent:
    """A server that hears the upgrade and answers with `answer`, if anything."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        self.asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        self.left.set()


async def url_of(silent: Silent) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    return server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"


async def test_cancelled_before_the_answer_it_leaves_no_socket() -> None:
    silent = Silent()
    server, url = await url_of(silent)
    opening = asyncio.create_task(connect(url, tls=None, max_message=1024))
    await asyncio.wait_for(silent.asked.wait(), 5)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.wait_for(silent.left.wait(), 2)
    server.close()


async def test_without_an_answer_it_gives_up_and_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CONNECT_TIMEOUT_S", 0.1)
    silent = Silent()
    server, url = await url_of(silent)
    with pytest.raises(NetworkError) as error:
        await connect(url, tls=None, max_message=1024)
    assert error.value.code == "timeout"
    await asyncio.wait_for(silent.left.wait(), 2)
    server.close()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n", b"SSH-2.0\r\n\r\n"],
)
async def test_what_is_no_such_server_is_told_and_left(answer: bytes) -> None:
    silent = Silent(answer)
    server, url = await url_of(silent)
    with pytest.raises(NetworkError) as error:
        await connect(url, tls=None, max_message=1024)
    assert error.value.code == "not_a_server"
    await asyncio.wait_for(silent.left.wait(), 2)
    server.close()


class Echo(WSListener):
    """Sends back what it gets."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


async def test_over_tls_messages_go_both_ways_and_only_a_trusted_server_is_spoken_to(tmp_path: Path) -> None:
    both = certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(both)
    server = await ws_create_server(lambda _request: Echo(), "127.0.0.1", 0, ssl=serving, use_aiofastnet=False)
    url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"

    trusting = ssl.create_default_context(cafile=str(both))
    socket = await connect(url, tls=trusting, max_message=1 << 20)
    for size in (1, 70_000):
        socket.send(b"x" * size)
        assert await asyncio.wait_for(socket.receive(), 5) == b"x" * size
    socket.close()
    with pytest.raises(NetworkError) as error:
        await connect(url, tls=None, max_message=1024)
    assert error.value.code == "tls"
    server.close()
