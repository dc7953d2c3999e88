"""Files: room for them, and their bytes. What is in them is `client.engine`'s."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from mensajeria.client.transport.rest.calls import Calls
from mensajeria.kit.lazy import LazyModule
from mensajeria.protocol.ids import b64

if TYPE_CHECKING:
    import httpx

    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


class Files:
    """`rest.files`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def create(self, size: int) -> api.FileState:
        """Ask for room for a ciphertext: quota_exceeded, too_large."""
        return await self._calls.ask("POST", "/v1/files", api.FileState, api.FileRequest(size=size))

    async def state(self, file_id: bytes) -> api.FileState:
        """How far an own upload is: not_found when the server has forgotten it."""
        return await self._calls.ask("GET", f"/v1/files/{b64(file_id)}/upload", api.FileState)

    async def upload(self, file_id: bytes, offset: int, data: bytes) -> None:
        """The next bytes of an upload, durable when this returns: upload_conflict when it is at another place."""
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        await self._calls.call("PATCH", f"/v1/files/{b64(file_id)}", data, headers)

    async def delete(self, file_id: bytes) -> None:
        """Delete an own file or upload: not_found."""
        await self._calls.call("DELETE", f"/v1/files/{b64(file_id)}")

    def download(self, file_id: bytes, offset: int) -> AbstractAsyncContextManager[httpx.Response]:
        """The ciphertext from `offset` on, to be read piece by piece: not_found, range_invalid."""
        target, headers = f"/v1/files/{b64(file_id)}", {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        return self._calls.stream(target, headers)
