"""Invites: 16 random bytes, of which the database keeps the hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from mensajeria.kit.secrets import Secret
from mensajeria.protocol import limits
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.ids import b64
from mensajeria.server.db.schema import ACTIVE, account, invite
from mensajeria.server.db.schema_access import invitation

DAY_MS = 24 * 3600 * 1000
USES_MAX = 10_000
InviteState = Literal["valid", "revoked", "expired", "used"]
INVITE_COLUMNS = (invite.c.id, invite.c.uses_left, invite.c.created_ms, invite.c.expires_ms, invite.c.revoked_ms)


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite as an operator sees it. The token itself is not kept."""

    id: int
    uses_left: int
    created_ms: int
    expires_ms: int
    revoked_ms: int | None
    created_by: str | None = None
    """The handle of the member who made it; None: the operator, or an account that is gone."""

    def is_usable(self, now_ms: int) -> bool:
        """True while somebody could register with it."""
        return self.state(now_ms) == "valid"

    def state(self, now_ms: int) -> InviteState:
        """Why it can or cannot be used."""
        if self.revoked_ms is not None:
            return "revoked"
        if self.uses_left <= 0:
            return "used"
        return "valid" if self.expires_ms > now_ms else "expired"


def token_hash(token: bytes) -> bytes:
    """What the database keeps of an invite."""
    return hashlib.sha256(token).digest()


def new_token() -> bytes:
    """A fresh token whose text does not begin with a dash: on a command line that would be the name of an option."""
    while b64(token := secrets.token_bytes(limits.INVITE_TOKEN_BYTES)).startswith("-"):
        pass
    return token


def create_invite(
    connection: Connection, *, uses: int, expires_ms: int, now_ms: int, created_by: int | None = None
) -> tuple[int, Secret]:
    """Make an invite; its id and its token, which is told once. `created_by`: an account's row id, None = the operator.

    Raises:
        ValueError: no use, too many, or already expired.
    """
    if not 1 <= uses <= USES_MAX:
        raise ValueError(f"an invite has 1 to {USES_MAX} uses")
    if expires_ms <= now_ms:
        raise ValueError("an invite must expire in the future")
    token = new_token()
    row = insert(invite).values(
        token_hash=token_hash(token), uses_left=uses, created_ms=now_ms, expires_ms=expires_ms, created_by=created_by
    )
    created = connection.execute(row.returning(invite.c.id)).scalar_one()
    return created, Secret(token)


def _usable(token: bytes, now_ms: int) -> ColumnElement[bool]:
    """Not while who made it is suspended: somebody sent away must not let others in."""
    maker = select(account.c.status).where(account.c.id == invite.c.created_by).scalar_subquery()
    return and_(
        invite.c.token_hash == token_hash(token),
        invite.c.uses_left > 0,
        invite.c.expires_ms > now_ms,
        invite.c.revoked_ms.is_(None),
        or_(invite.c.created_by.is_(None), maker == ACTIVE),
    )


def check_invite(connection: Connection, token: bytes, now_ms: int) -> None:
    """Raises ProtocolError INVITE_INVALID unless the invite could be used now."""
    if connection.execute(select(invite.c.id).where(_usable(token, now_ms))).one_or_none() is None:
        raise ProtocolError(Code.INVITE_INVALID)


def use_invite(connection: Connection, token: bytes, now_ms: int) -> int:
    """Take one use and return the invite's id. Two who come at once for the last use: one gets it.

    Raises:
        ProtocolError: INVITE_INVALID.
    """
    used = update(invite).where(_usable(token, now_ms)).values(uses_left=invite.c.uses_left - 1)
    found = connection.execute(used.returning(invite.c.id)).scalar_one_or_none()
    if found is None:
        raise ProtocolError(Code.INVITE_INVALID)
    return int(found)


def note_invitation(connection: Connection, account_id: int, invite_id: int, now_ms: int) -> None:
    """Remember by which invite an account came."""
    inviter = select(invite.c.created_by).where(invite.c.id == invite_id).scalar_subquery()
    row = {"account": account_id, "invite": invite_id, "invited_by": inviter, "created_ms": now_ms}
    connection.execute(insert(invitation).values(row))


def revoke_invite(connection: Connection, invite_id: int, now_ms: int) -> bool:
    """End an invite; False when there is none with this id."""
    ended = update(invite).where(invite.c.id == invite_id, invite.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    if connection.execute(ended).rowcount:
        return True
    return connection.execute(select(invite.c.id).where(invite.c.id == invite_id)).one_or_none() is not None


def revoke_invites_of(connection: Connection, account_id: int, now_ms: int) -> None:
    """End every invite that a member has made: without their account it would count as the operator's."""
    own = (invite.c.created_by == account_id, invite.c.revoked_ms.is_(None))
    connection.execute(update(invite).where(*own).values(revoked_ms=now_ms))


def list_invites(connection: Connection, *, before: int | None, limit: int) -> list[InviteRow]:
    """Invites of everybody with a lower id than `before`, newest first."""
    query = select(*INVITE_COLUMNS, account.c.handle).outerjoin(account, account.c.id == invite.c.created_by)
    if before is not None:
        query = query.where(invite.c.id < before)
    return [InviteRow(*row) for row in connection.execute(query.order_by(invite.c.id.desc()).limit(limit))]
