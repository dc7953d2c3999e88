"""REST endpoints of the key log (docs/protocol/e2ee.md §12)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from mensajeria.protocol import limits
from mensajeria.protocol.api import B32, LogLeaves, LogPlace, LogProof, SignedModel
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.caller import Caller, TheServer
from mensajeria.server.ratelimit.limits import Limit
from mensajeria.server.reference import CALLER_CODES, errors
from mensajeria.server.routing import Endpoint
from mensajeria.server.transparency.tree import newest_of, read_leaves

router: Final = APIRouter(prefix="/v1/transparency", tags=["transparency"], route_class=Endpoint)
Place = Annotated[int, Query(ge=0, lt=1 << 53)]


@router.get("/head", responses=errors(*CALLER_CODES))
async def read_head(login: Caller, server: TheServer) -> SignedModel:
    """The signed tree head (context `sth`) over every key change that is committed."""
    await server.limiter.check(Limit.LOG_DEVICE, login.did)
    signed = await server.key_log.head()
    return SignedModel(body=signed.body, sig=signed.sig)


@router.get("/leaves", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def list_leaves(login: Caller, server: TheServer, after: Place = 0) -> LogLeaves:
    """Up to 1,000 leaves from index `after` on, and how many `size` these make together with those before."""
    await server.limiter.check(Limit.LOG_DEVICE, login.did)
    leaves = await server.db.query(lambda db: read_leaves(db, after, limits.LOG_LEAVES_PAGE))
    return LogLeaves(leaves=leaves, size=after + len(leaves))


@router.get("/labels/{label}", responses=errors(*CALLER_CODES, Code.MALFORMED, Code.NOT_FOUND))
async def find_label(label: B32, login: Caller, server: TheServer) -> LogPlace:
    """The newest leaf of a label, which must be what a lookup of that user or name has shown."""
    await server.limiter.check(Limit.LOG_DEVICE, login.did)
    found = await server.db.query(lambda db: newest_of(db, label))
    if found is None:
        raise ProtocolError(Code.NOT_FOUND)
    return LogPlace(index=found[0], leaf=found[1])


@router.get("/inclusion", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def prove_inclusion(login: Caller, server: TheServer, index: Place, size: Place) -> LogProof:
    """The audit path of leaf `index` in the tree with `size` leaves (RFC 6962 §2.1.1)."""
    await server.limiter.check(Limit.LOG_DEVICE, login.did)
    try:
        return LogProof(size=size, hashes=await server.key_log.inclusion(index, size))
    except (IndexError, ValueError) as error:
        raise ProtocolError(Code.MALFORMED, str(error)) from error


@router.get("/consistency", responses=errors(*CALLER_CODES, Code.MALFORMED))
async def prove_consistency(login: Caller, server: TheServer, old: Place, size: Place) -> LogProof:
    """The proof that the tree with `old` leaves has grown into the one with `size` (RFC 6962 §2.1.2)."""
    await server.limiter.check(Limit.LOG_DEVICE, login.did)
    try:
        return LogProof(size=size, hashes=await server.key_log.consistency(old, size))
    except ValueError as error:
        raise ProtocolError(Code.MALFORMED, str(error)) from error
