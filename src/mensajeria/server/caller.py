"""Who calls a REST endpoint: bearer token and `Mensajeria-Mac`, checked together (see protocol.api for both).

What endpoints depend on is `async` even where it waits for nothing: FastAPI runs a plain function in a thread, which
costs more than all of its work.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy import Connection, update

from mensajeria.protocol.api import MAC_HEADER, check_rest_mac_of_hash, rest_key
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.db.schema import device
from mensajeria.server.network import client_network
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.state import Server

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


async def server_of(request: Request) -> Server:
    """The running server.

    Raises:
        ProtocolError: UNAVAILABLE while it starts.
    """
    server = getattr(request.app.state, "server", None)
    if not isinstance(server, Server):
        raise ProtocolError(Code.UNAVAILABLE)
    return server


TheServer = Annotated[Server, Depends(server_of)]


async def network_of(request: Request, server: TheServer) -> str | None:
    """Where the request comes from, for limits."""
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))  # a proxy may add a line of its own
    return client_network(peer, forwarded, server.settings.trusted_proxies)


Network = Annotated[str | None, Depends(network_of)]


async def caller(request: Request, server: TheServer) -> Login:
    """The proven caller of this very request.

    Raises:
        ProtocolError: UNAUTHORIZED, TOKEN_EXPIRED, LOGIN_REVOKED, ACCOUNT_SUSPENDED, REPLAYED or RATE_LIMITED.
    """
    login = await bearer(request, server)
    await prove(request, server, login, Limit.REST_DEVICE)
    return login


async def bearer(request: Request, server: Server) -> Login:
    """The login that the request claims with its token: not proven before `prove` or `prove_hash`.

    Raises:
        ProtocolError: UNAUTHORIZED, TOKEN_EXPIRED, LOGIN_REVOKED or ACCOUNT_SUSPENDED.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ProtocolError(Code.UNAUTHORIZED)
    request.state.login = login = await server.authenticator.authenticate(token)
    return login


Caller = Annotated[Login, Depends(caller)]


async def prove(request: Request, server: Server, login: Login, limit: Limit) -> None:
    """Check the request's MAC under the login's channel key; a call that changes something uses up its counter.

    Only what is proven counts for the device's limit, or whoever knows its id could use that up; and only what is
    within the limit is written.

    Raises:
        ProtocolError: UNAUTHORIZED, RATE_LIMITED or REPLAYED.
    """
    counter = _counter(request, login, hashlib.sha256(await request.body()).digest())
    await server.limiter.check(limit, login.did)
    await _use_up(request, server, login, counter)


async def prove_hash(request: Request, server: Server, login: Login, body_hash: bytes) -> None:
    """As `prove` for a body that was hashed while it passed by: what comes before it has a limit of its own."""
    await _use_up(request, server, login, _counter(request, login, body_hash))


def _counter(request: Request, login: Login, body_hash: bytes) -> int:
    """The counter of a request whose MAC is good."""
    header = request.headers.get(MAC_HEADER, "")
    key = rest_key(login.ck.reveal())
    counter = check_rest_mac_of_hash(key, header, request.method, _target(request), body_hash)
    if counter is None:
        raise ProtocolError(Code.UNAUTHORIZED, MAC_HEADER)
    return counter


async def _use_up(request: Request, server: Server, login: Login, counter: int) -> None:
    """Not waiting for the disk: what the call does is committed after it, and brings it there, too."""
    if request.method in SAFE_METHODS:
        return
    if not await server.db.write(lambda db: _use_counter(db, login.device_id, counter), durable=False):
        raise ProtocolError(Code.REPLAYED)


def _use_counter(connection: Connection, device_id: int, counter: int) -> bool:
    grows = (device.c.id == device_id, device.c.rest_counter < counter)
    return connection.execute(update(device).where(*grows).values(rest_counter=counter)).rowcount == 1


def _target(request: Request) -> str:
    """Path and query exactly as they were sent, for the MAC."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("ascii", "replace")
