"""What `admin doctor` tries outside of this machine: Redis, the bucket of files, and the way that clients take."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from mensajeria.protocol import auth
from mensajeria.protocol.encoding import MalformedError
from mensajeria.server.admin.records import FAILED, OK, WARNING, Check
from mensajeria.server.facts import Facts, StateError
from mensajeria.server.files.storage import StorageError
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
        return Check("redis", FAILED, f"it does not answer ({type(error).__name__})")
    finally:
        await client.aclose()
    if int(version.partition(".")[0]) < OLDEST_REDIS:
        return Check("redis", FAILED, f"version {version}, {OLDEST_REDIS} or later is needed")
    return Check("redis", OK, f"version {version}")


async def bucket(settings: Settings) -> Check:
    """It is there and lets us in. Writes nothing."""
    try:
        await asyncio.wait_for(bucket_storage(settings).look(), PATIENCE_S)
    except StateError as error:
        return Check("files", FAILED, str(error))
    except (StorageError, TimeoutError) as error:
        said = str(error) or "it does not answer"
        return Check("files", FAILED, f"bucket {settings.s3_bucket}: {said}")
    return Check("files", OK, f"bucket {settings.s3_bucket}")


async def public_address(settings: Settings, facts: Facts | None) -> Check:
    """The way that clients take: TLS, proxy, WebSocket, and that this server is at its end."""
    if settings.public_url is None:
        return Check(
            "public_address", WARNING, "MENSAJERIA_PUBLIC_URL is not set: the way of the clients was not tried"
        )
    url = settings.public_url.rstrip("/").replace("http", "ws", 1) + "/auth/ws"
    try:
        said = await asyncio.wait_for(_introduction(url), PATIENCE_S)
    except (OSError, ssl.SSLError, TimeoutError, MalformedError, ValueError) as error:
        return Check("public_address", FAILED, f"no WebSocket at {url} ({type(error).__name__})")
    if facts is not None and said.server_id != facts.server_id:
        return Check("public_address", FAILED, f"another server answers at {url}")
    return Check("public_address", OK, url)


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
