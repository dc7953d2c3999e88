"""Who calls a REST endpoint: bearer token and `Mensajeria-Mac`, checked together (see protocol.api for both)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy import Connection, update

from mensajeria.protocol.api import MAC_HEADER, check_rest_mac, rest_key
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.db.schema import device
from mensajeria.server.network import client_network
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.state import Server

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def server_of(request: Request) -> Server:
    """The running server.

    Raises:
        ProtocolError: UNAVAILABLE while it starts.
    """
    server = getattr(request.app.state, "server", None)
    if not isinstance(server, Server):
        raise ProtocolError(Code.UNAVAILABLE)
    return server


TheServer = Annotated[Server, Depends(server_of)]


def network_of(request: Request, server: TheServer) -> str | None:
    """Where the request comes from, for limits."""
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "")
    return client_network(peer, forwarded, server.settings.trusted_proxies)


Network = Annotated[str | None, Depends(network_of)]


async def caller(request: Request, server: TheServer) -> Login:
    """The proven caller of this very request.

    Raises:
        ProtocolError: UNAUTHORIZED, TOKEN_EXPIRED, LOGIN_REVOKED, ACCOUNT_SUSPENDED, REPLAYED or RATE_LIMITED.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ProtocolError(Code.UNAUTHORIZED)
    login = await server.authenticator.authenticate(token)
    await prove(request, server, login)
    await server.limiter.check(Limit.REST_DEVICE, login.did)
    return login


Caller = Annotated[Login, Depends(caller)]


async def prove(request: Request, server: Server, login: Login) -> None:
    """Check the request's MAC under the login's channel key; a call that changes something uses up its counter.

    Raises:
        ProtocolError: UNAUTHORIZED or REPLAYED.
    """
    header = request.headers.get(MAC_HEADER, "")
    key, body = rest_key(login.ck.reveal()), await request.body()
    counter = check_rest_mac(key, header, request.method, _target(request), body)
    if counter is None:
        raise ProtocolError(Code.UNAUTHORIZED, MAC_HEADER)
    if request.method in SAFE_METHODS:
        return
    if not await server.db.write(lambda connection: _use_counter(connection, login.device_id, counter)):
        raise ProtocolError(Code.REPLAYED)


def _use_counter(connection: Connection, device_id: int, counter: int) -> bool:
    grows = (device.c.id == device_id, device.c.rest_counter < counter)
    return connection.execute(update(device).where(*grows).values(rest_counter=counter)).rowcount == 1


def _target(request: Request) -> str:
    """Path and query exactly as they were sent, for the MAC."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("ascii", "replace")
