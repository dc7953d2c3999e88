"""Authenticated requests: this device's credentials and counters, renewed and skipped as the server asks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mensajeria.client.errors import RefusedError
from mensajeria.client.transport.rest.client import M, RestClient, parse
from mensajeria.kit.lazy import LazyModule
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.errors import Code

if TYPE_CHECKING:
    import httpx

    from mensajeria.protocol import api
else:  # its library is loaded when the network is first used
    api = LazyModule("mensajeria.protocol.api")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is authenticated with. `rest_key` never leaves this device."""

    access_token: str
    rest_key: Secret


class CredentialSource(Protocol):
    """Where the calls get their credentials and counters from."""

    async def credentials(self) -> Credentials:
        """Valid ones, renewed first when they are about to expire."""
        ...

    async def renew(self, refused: str) -> Credentials:
        """New ones, after the server refused the access token `refused` as expired."""
        ...

    async def next_counter(self) -> int:
        """A number higher than every one before, also across restarts."""
        ...

    async def skip_counters(self) -> None:
        """Go on from far higher numbers: the next ones were used by a former life of this profile."""
        ...


class Calls:
    """What the calls of all resources are made with. Everything raises RefusedError or NetworkError."""

    def __init__(self, client: RestClient, source: CredentialSource) -> None:
        self._client = client
        self._source = source

    async def ask(self, method: str, target: str, model: type[M], request: api.Model | None = None) -> M:
        """`call` whose answer is a model."""
        body = request.model_dump_json().encode() if request is not None else b""
        return parse(await self.call(method, target, body), model)

    async def call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One signed request; the answer's body."""
        credentials = await self._source.credentials()
        try:
            return await self._signed(credentials, method, target, body, headers)
        except RefusedError as error:
            if error.code == Code.TOKEN_EXPIRED:
                credentials = await self._source.renew(credentials.access_token)
            elif error.code != Code.REPLAYED:  # overtaken by a later request while its body was on its way
                raise
        try:
            return await self._signed(credentials, method, target, body, headers)
        except RefusedError as error:
            if error.code != Code.REPLAYED:
                raise
        # Twice: this is an older copy of the profile, whose numbers were used. What it is will show in its chats' rows.
        await self._source.skip_counters()
        return await self._signed(credentials, method, target, body, headers)

    @contextlib.asynccontextmanager
    async def stream(self, target: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """A signed GET whose answer is read piece by piece."""
        async with contextlib.AsyncExitStack() as stack:
            credentials = await self._source.credentials()
            try:
                response = await stack.enter_async_context(await self._streamed(credentials, target, headers))
            except RefusedError as error:
                if error.code != Code.TOKEN_EXPIRED:
                    raise
                renewed = await self._source.renew(credentials.access_token)
                response = await stack.enter_async_context(await self._streamed(renewed, target, headers))
            yield response

    async def _streamed(
        self, credentials: Credentials, target: str, headers: dict[str, str]
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        counter = await self._source.next_counter()
        return self._client.streamed(credentials.rest_key, counter, target, credentials.access_token, headers)

    async def _signed(
        self, credentials: Credentials, method: str, target: str, body: bytes, headers: dict[str, str] | None
    ) -> bytes:
        counter = await self._source.next_counter()
        token = credentials.access_token
        return await self._client.signed(credentials.rest_key, counter, method, target, body, token, headers)


async def refresh(client: RestClient, rest_key: Secret, counter: int, did: bytes, refresh_token: Secret) -> api.Tokens:
    """`POST /v1/auth/refresh`: the old refresh token is used up, the new ones must be stored before they are used."""
    request = api.RefreshRequest(did=did, refresh_token=refresh_token.reveal())
    body = request.model_dump_json().encode()
    return parse(await client.signed(rest_key, counter, "POST", "/v1/auth/refresh", body), api.Tokens)


def checked(make: Callable[[], M]) -> M:
    """A request whose values a person chose. Raises RefusedError (malformed) for what the server would refuse."""
    try:
        return make()
    except ValueError as error:
        raise RefusedError(Code.MALFORMED, "out of bounds") from error
