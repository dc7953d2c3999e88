"""Invites: 16 random bytes, of which the database keeps the hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.db.schema import invite

DAY_MS = 24 * 3600 * 1000
USES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite as an operator sees it. The token itself is not kept."""

    id: int
    uses_left: int
    created_ms: int
    expires_ms: int
    revoked_ms: int | None

    def is_usable(self, now_ms: int) -> bool:
        """True while somebody could register with it."""
        return self.uses_left > 0 and self.expires_ms > now_ms and self.revoked_ms is None


def token_hash(token: bytes) -> bytes:
    """What the database keeps of an invite."""
    return hashlib.sha256(token).digest()


def create_invite(connection: Connection, *, uses: int, expires_ms: int, now_ms: int) -> tuple[int, Secret]:
    """Make an invite; its id and its token, which is told once.

    Raises:
        ValueError: no use, too many, or already expired.
    """
    if not 1 <= uses <= USES_MAX:
        raise ValueError(f"an invite has 1 to {USES_MAX} uses")
    if expires_ms <= now_ms:
        raise ValueError("an invite must expire in the future")
    token = secrets.token_bytes(limits.INVITE_TOKEN_BYTES)
    row = insert(invite).values(
        token_hash=token_hash(token), uses_left=uses, created_ms=now_ms, expires_ms=expires_ms, created_by=None
    )
    created = connection.execute(row.returning(invite.c.id)).scalar_one()
    return created, Secret(token)


def _usable(token: bytes, now_ms: int) -> ColumnElement[bool]:
    return and_(
        invite.c.token_hash == token_hash(token),
        invite.c.uses_left > 0,
        invite.c.expires_ms > now_ms,
        invite.c.revoked_ms.is_(None),
    )


def check_invite(connection: Connection, token: bytes, now_ms: int) -> None:
    """Raises ProtocolError INVITE_INVALID unless the invite could be used now."""
    if connection.execute(select(invite.c.id).where(_usable(token, now_ms))).one_or_none() is None:
        raise ProtocolError(Code.INVITE_INVALID)


def use_invite(connection: Connection, token: bytes, now_ms: int) -> None:
    """Take one use; raises ProtocolError INVITE_INVALID. Two who come at once for the last use: one gets it."""
    used = update(invite).where(_usable(token, now_ms)).values(uses_left=invite.c.uses_left - 1)
    if connection.execute(used).rowcount != 1:
        raise ProtocolError(Code.INVITE_INVALID)


def revoke_invite(connection: Connection, invite_id: int, now_ms: int) -> bool:
    """End an invite; False when there is none with this id."""
    ended = update(invite).where(invite.c.id == invite_id, invite.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    if connection.execute(ended).rowcount:
        return True
    return connection.execute(select(invite.c.id).where(invite.c.id == invite_id)).one_or_none() is not None


def list_invites(connection: Connection) -> list[InviteRow]:
    """Every invite, newest first."""
    columns = (invite.c.id, invite.c.uses_left, invite.c.created_ms, invite.c.expires_ms, invite.c.revoked_ms)
    return [InviteRow(*row) for row in connection.execute(select(*columns).order_by(invite.c.id.desc()))]
