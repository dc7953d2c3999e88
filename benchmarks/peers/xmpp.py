"""A small, fast XMPP client for load: plain TCP, SASL PLAIN, no XML parser; and what the two XMPP servers share.

It looks only for what the works need: the end of the stanza it waits for, and `<message>` stanzas with a `<body>`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from benchmarks.lib import proc
from benchmarks.lib.peer import OnBody, Peer, Session, count, each, ignore
from tests.support.lifeline import Run
from tests.support.net import free_port

DOMAIN: Final = "localhost"
ROOMS: Final = "conference.localhost"
ROOM: Final = f"bench@{ROOMS}"
_BODY: Final = re.compile(rb"<message[ >](?:(?!</message>).)*?<body>([^<]{12})[^<]*</body>.*?</message>", re.DOTALL)
_FEATURES: Final = rb"</stream:features>"
_KEEP: Final = 65_536
_OPEN: Final = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)


def _answer_to(request: bytes) -> bytes:
    return rb"<iq [^>]*id=." + request + rb".[^>]*?(/>|>.*?</iq>)"


class Client(asyncio.Protocol):
    """One stream."""

    def __init__(self, on_body: OnBody) -> None:
        self._on_body = on_body
        self._buffer = b""
        self._waiting: tuple[re.Pattern[bytes], asyncio.Future[bytes]] | None = None
        self._live = False
        self._transport: asyncio.Transport | None = None

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(ConnectionError(f"closed by the server: {self._buffer[-300:]!r}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._live:
            self._messages()
        else:
            self._look()

    def _look(self) -> None:
        if self._waiting is not None and (found := self._waiting[0].search(self._buffer)) is not None:
            future, self._waiting = self._waiting[1], None
            self._buffer = self._buffer[found.end() :]
            if not future.done():
                future.set_result(found.group(0))

    def _messages(self) -> None:
        end = 0
        for found in _BODY.finditer(self._buffer):
            end = found.end()
            self._on_body(base64.b64decode(found.group(1))[:8])
        if end:
            self._buffer = self._buffer[end:]
        elif len(self._buffer) > _KEEP:  # presence and the like: keep only what may be the beginning of a message
            cut = self._buffer.rfind(b"<message")
            self._buffer = self._buffer[cut if cut >= 0 else -32 :]

    def write(self, stanza: str) -> None:
        """Send."""
        if self._transport is None:
            raise ConnectionError("closed by the server")
        self._transport.write(stanza.encode())

    async def ask(self, stanza: str, pattern: bytes, timeout_s: float = 60.0) -> bytes:
        """Send, and wait for something that matches."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = (re.compile(pattern, re.DOTALL), future)
        self.write(stanza)
        self._look()
        return await asyncio.wait_for(future, timeout_s)

    # --- XMPP

    async def register(self, user: str) -> None:
        """Make the account in-band."""
        await self.ask(_OPEN, _FEATURES)
        query = f"<query xmlns='jabber:iq:register'><username>{user}</username><password>pw</password></query>"
        answer = await self.ask(f"<iq type='set' id='reg'>{query}</iq>", _answer_to(b"reg"))
        if b"error" in answer and b"conflict" not in answer:
            raise RuntimeError(f"registration refused: {answer!r}")

    async def login(self, user: str) -> None:
        """Log in and go online."""
        await self.ask(_OPEN, _FEATURES)
        token = base64.b64encode(f"\0{user}\0pw".encode()).decode()
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
        answer = await self.ask(auth, rb"<(success|failure)[^>]*?(/>|>.*?</\1>|>)")
        if b"success" not in answer:
            raise RuntimeError(f"login refused: {answer!r}")
        await self.ask(_OPEN, _FEATURES)
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind>"
        await self.ask(f"<iq type='set' id='b'>{bind}</iq>", rb"<iq [^>]*id=.b.[^>]*>.*?</iq>")
        session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
        await self.ask(f"<iq type='set' id='s'>{session}</iq>", _answer_to(b"s"))
        self.write("<presence/>")
        self.go_live()

    async def join(self, number: int) -> None:
        """Join the room; whoever is first makes it."""
        self._live = False
        history = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
        await self.ask(f"<presence to='{ROOM}/n{number}'>{history}</presence>", rb"code=.110.")
        if number == 0:
            form = "<x xmlns='jabber:x:data' type='submit'/>"
            query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
            await self.ask(f"<iq type='set' id='cfg' to='{ROOM}'>{query}</iq>", _answer_to(b"cfg"))
        self.go_live()

    def go_live(self) -> None:
        """From here on messages are what counts."""
        self._buffer, self._live = b"", True

    def message(self, kind: str, to: str, body: bytes) -> None:
        """Send a message."""
        text = base64.b64encode(body).decode()
        self.write(f"<message type='{kind}' to='{to}' id='{text[:12]}'><body>{text}</body></message>")

    def end(self) -> None:
        """Close the stream."""
        if self._transport is not None:
            self.write("</stream:stream>")
            self._transport.close()


class XmppSession:
    """See `Session`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def send(self, to: int, body: bytes) -> None:
        self.client.message("chat", f"u{to}@{DOMAIN}", body)

    def send_group(self, body: bytes) -> None:
        self.client.message("groupchat", ROOM, body)

    async def close(self) -> None:
        self.client.end()


class XmppPeer(Peer):
    """An XMPP server: accounts by in-band registration, an archive of every message (MAM), a room (MUC)."""

    archive: str
    """Table of the archive."""

    def __init__(self, folder: Path, own: Run) -> None:
        super().__init__(folder, own)
        self.port = free_port()
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.url = self.start_postgres().create_database(self.name)
        self.configure()
        self.launch()

    @abstractmethod
    def configure(self) -> None:
        """Write the configuration."""

    @abstractmethod
    def launch(self) -> None:
        """Start the program and wait until it listens."""

    def stop(self) -> None:
        proc.stop(self.process)

    def roots(self) -> dict[str, int]:
        assert self.process is not None
        return {"server": self.process.pid, **self.postgres_root()}

    async def prepare(self, users: int) -> None:
        async def register(user: int) -> None:
            client = await self._dial(ignore)
            await client.register(f"u{user}")
            client.end()

        await each(register, range(users))
        # What registration has left in memory is not what the works measure.
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.launch)
        await asyncio.sleep(1)

    async def _dial(self, on_body: OnBody) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Client(on_body), "127.0.0.1", self.port)
        return client

    async def session(self, user: int, on_body: OnBody, *, receives: bool) -> Session:
        del receives
        client = await self._dial(on_body)
        await client.login(f"u{user}")
        return XmppSession(client)

    async def group(self, sessions: Sequence[Session]) -> None:
        for number, session in enumerate(sessions):
            await cast("XmppSession", session).client.join(number)

    async def stored(self) -> int | None:
        return await count(self.url, self.archive)
