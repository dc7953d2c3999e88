"""REST endpoints of files: uploads that can be resumed (as in tus 1.0), downloads of any part (RFC 9110 §14)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from mensajeria.protocol import limits
from mensajeria.protocol.api import B16, FileRequest, FileState
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.ids import b64
from mensajeria.server.caller import Caller, TheServer, bearer, prove_hash
from mensajeria.server.files.rows import FileRow
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint

router: Final = APIRouter(prefix="/v1/files", tags=["files"], route_class=Endpoint)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_BINARY: Final[dict[str, Any]] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_STEP: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/offset+octet-stream": _BINARY["application/octet-stream"]},
    }
}
Offset = Annotated[int, Header(ge=0, lt=1 << 53, alias="Upload-Offset")]


@router.post(
    "",
    status_code=201,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.QUOTA_EXCEEDED),
)
async def create(body: FileRequest, login: Caller, server: TheServer) -> FileState:
    """Begin the upload of a ciphertext. Its whole size counts against the caller's quota from now on."""
    await server.limiter.check(Limit.FILE_CREATE_ACCOUNT, login.uid)
    return _state(await server.files.create(login.account_id, body.size))


@router.patch(
    "/{file_id}",
    status_code=204,
    responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.NOT_FOUND, Code.UPLOAD_CONFLICT),
    openapi_extra=_STEP,
)
async def upload(file_id: B16, request: Request, server: TheServer, upload_offset: Offset) -> Response:
    """Append the body at `Upload-Offset`, which must be where the upload is. The answer follows the write to the disk.

    Between 256 KiB (except the last one) and 8 MiB a step, with Content-Length. The body is hashed while it passes to
    the storage; it counts only if `Mensajeria-Mac` then covers it.
    """
    login = await bearer(request, server)
    await server.limiter.check(Limit.FILE_STEP_DEVICE, login.did)
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 16:  # noqa: PLR2004 - far above any allowed size
        raise ProtocolError(Code.MALFORMED, "Content-Length")
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            digest.update(chunk)
            yield chunk

    received = await server.files.step(
        file_id,
        login.account_id,
        upload_offset,
        int(length),
        body(),
        lambda: prove_hash(request, server, login, digest.digest()),
    )
    return Response(status_code=204, headers={"Upload-Offset": str(received)})


@router.get("/{file_id}/upload", responses=errors(*CALLER_CODES, Code.MALFORMED, Code.NOT_FOUND))
async def upload_state(file_id: B16, login: Caller, server: TheServer) -> FileState:
    """How far an upload of the caller is."""
    return _state(await server.files.own(file_id, login.account_id))


@router.head("/{file_id}", response_class=Response, responses=errors(*CALLER_CODES, Code.MALFORMED, Code.NOT_FOUND))
async def describe(file_id: B16, _login: Caller, server: TheServer) -> Response:
    """Size and entity tag of a finished file."""
    row = await server.files.finished(file_id)
    return Response(headers=_headers(row) | {"Content-Length": str(row.size)}, media_type="application/octet-stream")


@router.get(
    "/{file_id}",
    response_class=StreamingResponse,
    responses={
        **errors(*CALLER_CODES, Code.MALFORMED, Code.NOT_FOUND, Code.RANGE_INVALID),
        200: {"description": "The whole file.", "content": _BINARY},
        206: {"description": "The part that `Range` asks for.", "content": _BINARY},
    },
)
async def download(
    file_id: B16,
    _login: Caller,
    server: TheServer,
    wanted: Annotated[str | None, Header(alias="Range", max_length=64)] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", max_length=64)] = None,
) -> StreamingResponse:
    """The ciphertext, whole or one part of it. Knowing the id, which only the message names, is what entitles to it."""
    row = await server.files.finished(file_id)
    part = _part(wanted, row.size) if if_range in {None, _etag(row)} else None
    start, stop = part or (0, row.size)
    headers = _headers(row) | {"Content-Length": str(stop - start)}
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{row.size}"
    return StreamingResponse(
        await _begun(server.files.read(row.file_id, start, stop)),
        206 if part else 200,
        headers,
        "application/octet-stream",
    )


@router.delete("/{file_id}", status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES, Code.NOT_FOUND))
async def remove(file_id: B16, login: Caller, server: TheServer) -> Response:
    """Delete a file or an upload of the caller."""
    await server.files.delete(file_id, login.account_id)
    return Response(status_code=204)


async def _begun(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; the first ones are read already, so that a storage that fails is an error answer."""
    first = await anext(body)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for chunk in body:
            yield chunk

    return whole()


def _part(wanted: str | None, size: int) -> tuple[int, int] | None:
    """[start, stop) of the one range asked for; None for none, several, or another unit: these get the whole file.

    Raises:
        ProtocolError: RANGE_INVALID, there is nothing in it.
    """
    found = _RANGE.fullmatch(wanted or "")
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ProtocolError(Code.RANGE_INVALID)
    return start, stop


def _etag(row: FileRow) -> str:
    """A file never changes: its id is its tag."""
    return f'"{b64(row.file_id)}"'


def _headers(row: FileRow) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": _etag(row),
        "Cache-Control": "private, no-store",
        "Content-Disposition": "attachment",
    }


def _state(row: FileRow) -> FileState:
    return FileState(
        file_id=row.file_id,
        size=row.size,
        received=row.received,
        expires_ms=row.expires_ms,
        chunk_min=limits.FILE_CHUNK_MIN,
        chunk_max=limits.FILE_CHUNK_MAX,
    )
