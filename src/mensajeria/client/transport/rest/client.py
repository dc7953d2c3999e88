"""Raw requests: signing, timeouts, size limits, and refusals as errors."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, TypeVar

from mensajeria.client.errors import NetworkError, RefusedError
from mensajeria.client.transport.address import ServerAddress
from mensajeria.kit.lazy import LazyModule
from mensajeria.kit.secrets import Secret

if TYPE_CHECKING:
    import httpx

    from mensajeria.protocol import api
else:  # a window is shown from the store before the network is used: these would hold it up for a third of a second
    httpx = LazyModule("httpx")
    api = LazyModule("mensajeria.protocol.api")

TIMEOUT_S: Final = 20.0
CLOSE_PATIENCE_S: Final = 1.0
MAX_ANSWER: Final = 8 << 20
USER_AGENT: Final = "mensajeria-client"
M = TypeVar("M", bound="api.Model")


class RestClient:
    """Raw calls: signing, timeouts, size limits and errors. One per client; close it at the end."""

    def __init__(self, address: ServerAddress, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._connections: httpx.AsyncClient | None = None
        self._running: set[asyncio.Task[bytes]] = set()

    @property
    def _http(self) -> httpx.AsyncClient:
        """Made at the first call."""
        if self._connections is None:
            self._connections = httpx.AsyncClient(
                verify=self._tls if self._tls is not None else False,  # plain http: there is nothing to verify
                timeout=TIMEOUT_S,
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            )
        return self._connections

    async def close(self) -> None:
        """Give what still runs a moment to end, then close the connections."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSE_PATIENCE_S)
            for exchange in late:
                exchange.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._connections is not None:
            await self._connections.aclose()

    async def call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One request; `target` is the path with its query. Returns the answer's body.

        Who is cancelled leaves the exchange to end by itself: httpx loses the connection of a request that is cut off
        in the wrong moment.

        Raises:
            RefusedError: the server refused, with the code of its problem document.
            NetworkError: network, timeout, tls or not_a_server.
        """
        exchange = asyncio.create_task(self._exchange(method, target, body, headers))
        self._running.add(exchange)
        exchange.add_done_callback(self._ended)
        return await asyncio.shield(exchange)

    def _ended(self, exchange: asyncio.Task[bytes]) -> None:
        self._running.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # nobody else may be there any more to look at it

    async def _exchange(self, method: str, target: str, body: bytes, headers: dict[str, str] | None) -> bytes:
        sent = dict(headers or {})
        if body:
            sent.setdefault("Content-Type", "application/json")
        try:
            async with self._http.stream(method, self._address.url + target, content=body, headers=sent) as response:
                answer = await _read_bounded(response)
        except httpx.TimeoutException as error:
            raise NetworkError("timeout", f"{method} {_path_only(target)}") from error
        except httpx.HTTPError as error:
            raise NetworkError(_network_code(error), str(error)) from error
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise _refusal(response.status_code, answer)
        return answer

    async def signed(
        self,
        rest_key: Secret,
        counter: int,
        method: str,
        target: str,
        body: bytes = b"",
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """`call` with the MAC header, and the bearer token if there is one. Raises as `call`."""
        proof = self._proof(rest_key, counter, method, target, body, token)
        return await self.call(method, target, body, {**(headers or {}), **proof})

    @contextlib.asynccontextmanager
    async def streamed(
        self, rest_key: Secret, counter: int, target: str, token: str, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """A signed GET whose answer is read by the caller, piece by piece, and bounded by it. Raises as `call`."""
        sent = {**headers, **self._proof(rest_key, counter, "GET", target, b"", token)}
        try:
            async with self._http.stream("GET", self._address.url + target, headers=sent) as response:
                if response.status_code >= httpx.codes.BAD_REQUEST:
                    raise _refusal(response.status_code, await _read_bounded(response))
                yield response
        except httpx.TimeoutException as error:
            raise NetworkError("timeout", f"GET {_path_only(target)}") from error
        except httpx.HTTPError as error:
            raise NetworkError(_network_code(error), str(error)) from error

    def _proof(
        self, rest_key: Secret, counter: int, method: str, target: str, body: bytes, token: str
    ) -> dict[str, str]:
        path = self._address.path + target
        headers = {api.MAC_HEADER: api.rest_mac(rest_key.reveal(), method, path, body, counter)}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


async def _read_bounded(response: httpx.Response) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > MAX_ANSWER:
            raise NetworkError("not_a_server", "the answer is too large")
    return bytes(data)


def _path_only(target: str) -> str:
    return target.partition("?")[0]


def _network_code(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "not_a_server" if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError) else "network"


def _refusal(status: int, answer: bytes) -> RefusedError | NetworkError:
    try:
        problem = api.Problem.model_validate_json(answer)
    except ValueError:
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return NetworkError("network", f"status {status}")
        return NetworkError("not_a_server", f"status {status}")
    return RefusedError(problem.code, problem.detail[:200], retry_after_ms=problem.retry_after_ms)


def parse(answer: bytes, model: type[M]) -> M:
    """The answer as its model. Raises NetworkError (not_a_server)."""
    try:
        return model.model_validate_json(answer)
    except ValueError as error:
        raise NetworkError("not_a_server", f"unexpected answer: {model.__name__}") from error


async def describe(client: RestClient) -> api.ServerDescription:
    """`GET /v1/server`."""
    return parse(await client.call("GET", "/v1/server"), api.ServerDescription)
