"""One contract for the storages of files: a folder, and a bucket of a real S3 server on this machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from mensajeria.kit.secrets import Secret
from mensajeria.server.files.storage import FolderStorage, Storage, StorageError
from mensajeria.server.files.storage_s3 import S3Storage
from tests.support.line import Line

MIB = 1 << 20


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a quarter of a second, for this folder only

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    name = f"files-{secrets.token_hex(4)}"
    assert httpx.put(f"{s3_endpoint}/{name}", timeout=30).status_code == 200
    return name


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path / "files")
    return S3Storage(
        bucket=request.getfixturevalue("bucket"),
        endpoint=request.getfixturevalue("s3_endpoint"),
        region="us-east-1",
        access_key="k",
        secret_key=Secret(b"s"),
        prefix="m/",
    )


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(storage: Storage, file_id: bytes, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in storage.read(file_id, start, stop)])


async def test_steps_make_a_file_and_any_part_can_be_read(storage: Storage) -> None:
    file_id, content = os.urandom(16), os.urandom(2 * MIB + 123)
    cuts = (0, MIB, MIB + 500_000, len(content))
    for start, stop in pairwise(cuts):
        middle = (start + stop) // 2
        written = await storage.write(file_id, start, pieces(content[start:middle], content[middle:stop]))
        assert written == stop - start
    await storage.seal(file_id)
    await storage.seal(file_id)

    for start, stop in [(0, len(content)), (0, 1), (MIB - 1, MIB + 1), (MIB, MIB + 500_000), (7, 2 * MIB)]:
        assert await read(storage, file_id, start, stop) == content[start:stop]


async def test_step_again_replaces_what_was_there(storage: Storage) -> None:
    file_id = os.urandom(16)
    await storage.write(file_id, 0, pieces(b"head"))
    await storage.write(file_id, 4, pieces(b"a first try that is longer"))
    await storage.write(file_id, 4, pieces(b"tail"))
    await storage.seal(file_id)

    assert await read(storage, file_id, 0, 8) == b"headtail"


async def test_step_that_breaks_off_counts_as_never_made(storage: Storage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"xxxx"
        raise ConnectionResetError

    file_id = os.urandom(16)
    await storage.write(file_id, 0, pieces(b"head"))
    with pytest.raises(ConnectionResetError):
        await storage.write(file_id, 4, broken())
    await storage.write(file_id, 4, pieces(b"tail"))
    await storage.seal(file_id)

    assert await read(storage, file_id, 0, 8) == b"headtail"


async def test_deleted_files_are_gone(storage: Storage) -> None:
    sealed, unfinished, other = os.urandom(16), os.urandom(16), os.urandom(16)
    for file_id in (sealed, unfinished, other):
        await storage.write(file_id, 0, pieces(b"content"))
    await storage.seal(sealed)
    await storage.seal(other)
    for _ in range(2):
        for file_id in (sealed, unfinished):
            await storage.delete(file_id)

    for file_id in (sealed, unfinished):
        with pytest.raises(StorageError):
            await read(storage, file_id, 0, 7)
    assert await read(storage, other, 0, 7) == b"content"


async def test_more_than_there_is_cannot_be_read(storage: Storage) -> None:
    file_id = os.urandom(16)
    await storage.write(file_id, 0, pieces(b"content"))
    await storage.seal(file_id)

    with pytest.raises(StorageError):
        await read(storage, file_id, 0, 8)


async def test_folder_holds_nothing_but_names_of_ids(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "files")
    file_id = os.urandom(16)
    await storage.write(file_id, 0, pieces(b"content"))
    name = file_id.hex()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        f"files/{name[:2]}/{name}.part"
    ]
    await storage.seal(file_id)
    path = tmp_path / "files" / name[:2] / name
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(StorageError):  # an offset beyond the end never leaves a hole
        await storage.write(os.urandom(16), 5, pieces(b"x"))


async def test_store_that_is_away(s3_endpoint: str) -> None:
    storage = S3Storage(
        bucket="no-such-bucket", endpoint=s3_endpoint, region="us-east-1", access_key="k", secret_key=Secret(b"s")
    )
    with pytest.raises(StorageError):
        await storage.write(os.urandom(16), 0, pieces(b"x"))


@pytest.mark.slow
async def test_store_that_falls_in_the_middle_of_a_step_loses_that_step_alone(s3_endpoint: str, bucket: str) -> None:
    line = Line(int(s3_endpoint.rpartition(":")[2]))
    await line.join()
    storage = S3Storage(
        bucket=bucket,
        endpoint=f"http://127.0.0.1:{line.port}",
        region="us-east-1",
        access_key="k",
        secret_key=Secret(b"s"),
    )
    file_id, content = os.urandom(16), os.urandom(3 * MIB)
    assert await storage.write(file_id, 0, pieces(content[:MIB])) == MIB
    line.cut_after = MIB // 2
    with pytest.raises(StorageError):
        await storage.write(file_id, MIB, pieces(content[MIB:]))
    for attempt in (read(storage, file_id, 0, MIB), storage.delete(os.urandom(16)), storage.look()):
        with pytest.raises(StorageError):
            await attempt

    await line.join()
    assert await storage.write(file_id, MIB, pieces(content[MIB:])) == 2 * MIB
    await storage.seal(file_id)
    assert await read(storage, file_id, 0, len(content)) == content
    line.cut()
