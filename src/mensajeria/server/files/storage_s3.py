"""Files in an S3-compatible store, through obstore. Needs the extra `s3`.

Each step of an upload is an object of its own, `<id>/<offset>`, so that resuming needs no multipart upload to be
remembered; a file is its objects in order. An object that a lost step left behind is replaced by the next one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mensajeria.kit.secrets import Secret
from mensajeria.server.files.storage import READ_BYTES, StorageError

if TYPE_CHECKING:
    from obstore.store import S3Store

_DIGITS: Final = 16


class S3Storage:
    """See `Storage`. Raises ImportError without obstore."""

    def __init__(
        self, *, bucket: str, endpoint: str | None, region: str, access_key: str, secret_key: Secret, prefix: str = ""
    ) -> None:
        from obstore.store import S3Store  # noqa: PLC0415 - an optional extra

        self._prefix = prefix
        self._store: S3Store = S3Store(
            bucket,
            endpoint=endpoint,
            region=region,
            access_key_id=access_key,
            secret_access_key=secret_key.reveal().decode(),
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": endpoint is not None and endpoint.startswith("http://"),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )

    def _folder(self, file_id: bytes) -> str:
        return f"{self._prefix}{file_id.hex()}"

    async def write(self, file_id: bytes, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """See `Storage.write`. A step is in memory once: the store must know its size and hash before it begins."""
        import obstore  # noqa: PLC0415 - an optional extra

        step = bytearray()
        async for chunk in chunks:
            step += chunk
        if step:
            try:
                await obstore.put_async(self._store, f"{self._folder(file_id)}/{offset:0{_DIGITS}x}", bytes(step))
            except (obstore.exceptions.BaseError, OSError) as error:
                raise StorageError("the object store did not take a part") from error
        return len(step)

    async def seal(self, file_id: bytes) -> None:
        """See `Storage.seal`. Every part is durable already."""

    async def read(self, file_id: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `Storage.read`."""
        import obstore  # noqa: PLC0415 - an optional extra

        try:
            for key, offset, size in await self._parts(file_id):
                if offset + size <= start or offset >= stop:
                    continue
                if offset > start:
                    break
                end = min(offset + size, stop)
                result = await obstore.get_async(self._store, key, options={"range": (start - offset, end - offset)})
                async for chunk in result.stream(min_chunk_size=READ_BYTES):
                    start += len(chunk)
                    yield bytes(chunk)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StorageError("the object store did not give a part") from error
        if start < stop:
            raise StorageError("a part is missing")

    async def delete(self, file_id: bytes) -> None:
        """See `Storage.delete`."""
        import obstore  # noqa: PLC0415 - an optional extra

        try:
            keys = [key for key, _, _ in await self._parts(file_id)]
            if keys:
                await obstore.delete_async(self._store, keys)
        except FileNotFoundError:
            return
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StorageError("the object store did not delete") from error

    async def look(self) -> None:
        """Ask for a file that nobody has: raises StorageError when the bucket is not there or lets nobody in."""
        import obstore  # noqa: PLC0415 - an optional extra

        try:
            await self._parts(bytes(16))
        except (obstore.exceptions.BaseError, OSError) as error:
            raise StorageError(f"it cannot be listed ({type(error).__name__})") from error

    async def _parts(self, file_id: bytes) -> list[tuple[str, int, int]]:
        """(key, offset, size) in order."""
        import obstore  # noqa: PLC0415 - an optional extra

        found = []
        async for page in obstore.list(self._store, prefix=self._folder(file_id) + "/"):
            found += [(meta["path"], int(meta["path"].rsplit("/", 1)[1], 16), meta["size"]) for meta in page]
        return sorted(found, key=lambda part: part[1])
