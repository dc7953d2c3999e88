"""A lean HTTP/1.1 client for load: kept connections, JSON, no more. A full client costs more than what is measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_OK: Final = 400


class HttpError(Exception):
    """An answer of 400 or more."""


class HttpClient:
    """Calls one server on 127.0.0.1; as many connections as there are calls at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []
        self._all: set[asyncio.StreamWriter] = set()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer's body. Raises HttpError."""
        target = f"{path}?{urlencode(query)}" if query else path
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        reader, writer = self._kept() or await self._connect()
        try:
            writer.write("\r\n".join((*lines, "", "")).encode() + body)
            status, answer, keep = await _answer(reader)
        except BaseException:
            self._forget(writer)
            raise
        if keep:
            self._idle.append((reader, writer))
        else:
            self._forget(writer)
        if status >= _OK:
            raise HttpError(f"{method} {path}: {status} {answer[:300]!r}")
        return answer

    async def json(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """As `call`, with JSON both ways."""
        return json.loads(
            await self.call(method, path, body=b"" if body is None else json.dumps(body).encode(), **more)
        )

    def close(self) -> None:
        """Close all connections."""
        for writer in self._all:
            writer.close()
        self._all.clear()
        self._idle.clear()

    def _kept(self) -> _Connection | None:
        """An idle connection that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not connection[0].at_eof():
                return connection
            self._forget(connection[1])
        return None

    async def _connect(self) -> _Connection:
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        self._all.add(connection[1])
        return connection

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._all.discard(writer)
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """(status, body, whether the connection may be used again)."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), body, headers.get("connection", "").lower() != "close"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
