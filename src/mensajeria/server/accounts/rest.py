"""REST endpoints of accounts: the server's description, tokens, looking somebody up."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import ColumnElement, Connection, bindparam, select

from mensajeria.protocol import limits
from mensajeria.protocol.api import (
    B16,
    ListBodies,
    LogoutRequest,
    RefreshRequest,
    ServerDescription,
    SignedModel,
    Successions,
    Tokens,
    UserKeys,
)
from mensajeria.protocol.auth import SUITE_PASSWORD
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.identities import successions_after
from mensajeria.server.caller import Caller, Network, TheServer, prove
from mensajeria.server.db.reads import Read
from mensajeria.server.db.schema import PENDING, account, device_list
from mensajeria.server.devices.lists import list_bodies
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, CHANGE_CODES, errors
from mensajeria.server.routing import Endpoint
from mensajeria.server.version import VERSION

router: Final = APIRouter(prefix="/v1", route_class=Endpoint)
LIST_BODIES_PAGE: Final = 64
_HANDLE: Final = re.compile(limits.HANDLE_PATTERN)


def _user_keys(which: ColumnElement[bool]) -> Read[UserKeys]:
    statement = (
        select(account.c.uid, account.c.identity, device_list.c.body, device_list.c.sig)
        .join(device_list, device_list.c.account_id == account.c.id)
        .where(which, account.c.status != PENDING)  # who waits for approval is not here yet
        .order_by(device_list.c.ver.desc())
        .limit(1)
    )
    return Read(statement, _keys)


def _keys(uid: bytes, identity: bytes, body: bytes, sig: bytes) -> UserKeys:
    return UserKeys(uid=uid, identity=identity, device_list=SignedModel(body=body, sig=sig))


KEYS_BY_HANDLE: Final = _user_keys(account.c.handle == bindparam("handle"))
KEYS_BY_UID: Final = _user_keys(account.c.uid == bindparam("uid"))
HandleInPath = Annotated[str, Path(json_schema_extra={"pattern": limits.HANDLE_PATTERN})]
"""Checked in the endpoint, which has its own code for a wrong one."""


@router.get("/server", tags=["server"], responses=errors(Code.UNAVAILABLE))
async def describe_server(server: TheServer) -> ServerDescription:
    """What this server is. Public; the same facts are sent on `/auth/ws`."""
    return ServerDescription(
        server_id=server.facts.server_id,
        name=server.settings.server_name,
        version=VERSION,
        protocol=limits.PROTOCOL_VERSION,
        registration=server.settings.effective_registration,
        restore_epoch=server.facts.restore_epoch,
        password_suites=[SUITE_PASSWORD],
        log_key=server.key_log.public_key,
    )


@router.post("/auth/refresh", tags=["auth"], responses=errors(*CALLER_CODES, *CHANGE_CODES))
async def refresh(request: Request, body: RefreshRequest, server: TheServer, network: Network) -> Tokens:
    """New tokens for a refresh token. Needs no access token, but the MAC under the device's channel key.

    The refresh token is used up. A used one ends the login, except within 15 seconds: then the successor is the same.
    """
    if network is not None:
        await server.limiter.check(Limit.REFRESH_NETWORK, network)
    login = await server.authenticator.by_device(body.did)
    await prove(request, server, login, Limit.REFRESH_DEVICE)
    access, expires_ms, successor = await server.refresh.refresh(login, body.refresh_token)
    return Tokens(access_token=access, access_expires_ms=expires_ms, refresh_token=successor.reveal())


@router.post("/auth/logout", tags=["auth"], status_code=204, responses=errors(*CALLER_CODES, *CHANGE_CODES))
async def logout(login: Caller, server: TheServer, body: LogoutRequest | None = None) -> Response:
    """End this device's login, or that of every device: tokens, channel key, connection. Devices stay in the list."""
    if body is not None and body.everywhere:
        await server.refresh.logout_everywhere(login)
    else:
        await server.refresh.logout(login)
    return Response(status_code=204)


@router.get(
    "/users/by-handle/{handle}",
    tags=["users"],
    responses=errors(*CALLER_CODES, Code.UNKNOWN_USER, Code.HANDLE_INVALID),
)
async def find_user(handle: HandleInPath, login: Caller, server: TheServer) -> UserKeys:
    """The user with this name: identity record and newest device list."""
    if not _HANDLE.fullmatch(handle):
        raise ProtocolError(Code.HANDLE_INVALID)
    await server.limiter.check(Limit.LOOKUP_HANDLE_ACCOUNT, login.uid)
    return _only(await server.db.rows(KEYS_BY_HANDLE, handle=handle))


@router.get("/users/{uid}/keys", tags=["users"], responses=errors(*CALLER_CODES, Code.UNKNOWN_USER, Code.MALFORMED))
async def read_keys(uid: B16, login: Caller, server: TheServer) -> UserKeys:
    """A user's identity record and newest device list."""
    await server.limiter.check(Limit.LOOKUP_KEYS_ACCOUNT, login.uid)
    return _only(await server.db.rows(KEYS_BY_UID, uid=uid))


@router.get("/users/{uid}/lists", tags=["users"], responses=errors(*CALLER_CODES, Code.UNKNOWN_USER, Code.MALFORMED))
async def read_lists(
    uid: B16, login: Caller, server: TheServer, after: Annotated[int, Query(ge=0, lt=1 << 53)] = 0
) -> ListBodies:
    """Bodies of the device list's versions after `after`, ascending, at most 64: to check the chain."""
    await server.limiter.check(Limit.LOOKUP_KEYS_ACCOUNT, login.uid)

    def read(connection: Connection) -> list[bytes]:
        account_id = connection.execute(select(account.c.id).where(account.c.uid == uid)).scalar_one_or_none()
        if account_id is None:
            raise ProtocolError(Code.UNKNOWN_USER)
        return list_bodies(connection, account_id, after, LIST_BODIES_PAGE)

    return ListBodies(bodies=await server.db.query(read))


@router.get(
    "/users/{uid}/successions", tags=["users"], responses=errors(*CALLER_CODES, Code.UNKNOWN_USER, Code.MALFORMED)
)
async def read_successions(
    uid: B16, login: Caller, server: TheServer, after: Annotated[int, Query(ge=0, lt=1 << 53)] = 0
) -> Successions:
    """What the user's former identities have signed for the ones that followed, since list version `after`."""
    await server.limiter.check(Limit.LOOKUP_KEYS_ACCOUNT, login.uid)
    page = limits.SUCCESSIONS_PAGE
    return Successions(proofs=await server.db.query(lambda db: successions_after(db, uid, after, page)))


def _only(found: list[UserKeys]) -> UserKeys:
    if not found:
        raise ProtocolError(Code.UNKNOWN_USER)
    return found[0]
