"""What `admin doctor` tries outside of this machine: Redis, the bucket of files, and the way that clients take."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from mensajeria.protocol import auth
from mensajeria.protocol.encoding import MalformedError
from mensajeria.server.admin.records import Check, State, Subject
from mensajeria.server.facts import Facts, StateError
from mensajeria.server.files.storage import StorageError
from mensajeria.server.findings import Finding, cause_of
from mensajeria.server.settings import Settings
from mensajeria.server.startup import bucket_storage

PATIENCE_S: Final = 10.0
OLDEST_REDIS: Final = 7
"""The first one with sharded channels."""


async def redis(url: str) -> Check:
    """It answers, lets us in, and is new enough."""
    from mensajeria.server.broker.link import REDIS_ERRORS, redis_client  # noqa: PLC0415 - 6 MB that most never use

    client = redis_client(url)
    try:
        version = str((await client.info("server"))["redis_version"])
    except REDIS_ERRORS as error:
        return Check(Subject.REDIS, State.FAILED, Finding.REDIS_SILENT(cause=cause_of(error)))
    finally:
        await client.aclose()
    if int(version.partition(".")[0]) < OLDEST_REDIS:
        return Check(Subject.REDIS, State.FAILED, Finding.REDIS_OLD(version=version, needed=OLDEST_REDIS))
    return Check(Subject.REDIS, State.OK, Finding.REDIS_GOOD(version=version))


async def bucket(settings: Settings) -> Check:
    """It is there and lets us in. Writes nothing."""
    subject, name = Subject.FILES, settings.s3_bucket or ""
    try:
        await asyncio.wait_for(bucket_storage(settings).look(), PATIENCE_S)
    except StateError as error:
        return Check(subject, State.FAILED, error.findings[0])
    except TimeoutError:
        return Check(subject, State.FAILED, Finding.BUCKET_SILENT(bucket=name))
    except StorageError as error:
        cause = cause_of(error.__cause__ or error)
        return Check(subject, State.FAILED, Finding.BUCKET_REFUSES(bucket=name, cause=cause))
    return Check(subject, State.OK, Finding.BUCKET_GOOD(bucket=name))


async def public_address(settings: Settings, facts: Facts | None) -> Check:
    """The way that clients take: TLS, proxy, WebSocket, and that this server is at its end."""
    subject = Subject.PUBLIC_ADDRESS
    if settings.public_url is None:
        return Check(subject, State.WARNING, Finding.ADDRESS_UNSET())
    url = settings.public_url.rstrip("/").replace("http", "ws", 1) + "/auth/ws"
    try:
        said = await asyncio.wait_for(_introduction(url), PATIENCE_S)
    except (OSError, ssl.SSLError, TimeoutError, MalformedError, ValueError) as error:
        return Check(subject, State.FAILED, Finding.ADDRESS_SILENT(url=url, cause=cause_of(error)))
    if facts is not None and said.server_id != facts.server_id:
        return Check(subject, State.FAILED, Finding.ADDRESS_FOREIGN(url=url))
    return Check(subject, State.OK, Finding.ADDRESS_GOOD(url=url))


class _Listening(WSListener):
    """Waits for the first message."""

    def __init__(self) -> None:
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002 - of the library
        """The server introduces itself."""
        if frame.msg_type == WSMsgType.BINARY and not self.first.done():
            self.first.set_result(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - of the library
        """Nothing will come."""
        if not self.first.done():
            self.first.set_exception(ConnectionError("closed"))


async def _introduction(url: str) -> auth.ServerInfo:
    connecting: Coroutine[Any, Any, tuple[WSTransport, Any]] = ws_connect(_Listening, url)
    transport, listener = await connecting
    try:
        said = auth.decode_from_server(await listener.first)
    finally:
        transport.disconnect()
    if not isinstance(said, auth.ServerInfo):
        raise MalformedError("not an introduction")
    return said
