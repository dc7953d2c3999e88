"""Invites that members make, where the operator allows it."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from mensajeria.protocol import limits
from mensajeria.protocol.api import CreatedInviteInfo, InviteInfo, InvitePage
from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.server.accounts.invites import DAY_MS, INVITE_COLUMNS, InviteRow, create_invite
from mensajeria.server.accounts.sessions import Login
from mensajeria.server.admin.audit import Act, record
from mensajeria.server.db.schema import account, invite
from mensajeria.server.db.schema_access import invitation

PAGE = 50


def make(connection: Connection, login: Login, *, uses: int, days: int, now_ms: int) -> CreatedInviteInfo:
    """Make an invite of the caller's.

    Raises:
        ProtocolError: QUOTA_EXCEEDED, too many usable ones.
    """
    connection.execute(select(account.c.id).where(account.c.id == login.account_id).with_for_update())
    usable = (invite.c.uses_left > 0, invite.c.expires_ms > now_ms, invite.c.revoked_ms.is_(None))
    own = select(func.count()).select_from(invite).where(invite.c.created_by == login.account_id, *usable)
    if connection.execute(own).scalar_one() >= limits.INVITES_OPEN_MAX:
        raise ProtocolError(Code.QUOTA_EXCEEDED, "invites")
    expires_ms = now_ms + days * DAY_MS
    number, token = create_invite(
        connection, uses=uses, expires_ms=expires_ms, now_ms=now_ms, created_by=login.account_id
    )
    record(connection, Act.INVITE_CREATED, actor=login.uid.hex(), target=str(number), now_ms=now_ms)
    return CreatedInviteInfo(id=number, token=token.reveal(), uses_left=uses, expires_ms=expires_ms)


def page(connection: Connection, login: Login, *, before: int | None, now_ms: int) -> InvitePage:
    """The caller's invites with a lower id than `before`, newest first."""
    query = select(*INVITE_COLUMNS).where(invite.c.created_by == login.account_id)
    if before is not None:
        query = query.where(invite.c.id < before)
    rows = [InviteRow(*row) for row in connection.execute(query.order_by(invite.c.id.desc()).limit(PAGE + 1))]
    joined = _joined(connection, [row.id for row in rows[:PAGE]])
    found = [
        InviteInfo(
            id=row.id,
            uses_left=row.uses_left,
            created_ms=row.created_ms,
            expires_ms=row.expires_ms,
            state=row.state(now_ms),
            joined=joined.get(row.id, []),
        )
        for row in rows[:PAGE]
    ]
    return InvitePage(invites=found, more=len(rows) > PAGE)


def _joined(connection: Connection, ids: list[int]) -> dict[int, list[str]]:
    """Who came by which invite; at most INVITE_USES_MAX each."""
    if not ids:
        return {}
    query = (
        select(invitation.c.invite, account.c.handle)
        .join(account, account.c.id == invitation.c.account)
        .where(invitation.c.invite.in_(ids))
        .order_by(account.c.id)
    )
    joined: dict[int, list[str]] = {}
    for row in connection.execute(query):
        joined.setdefault(row.invite, []).append(row.handle)
    return joined


def revoke(connection: Connection, login: Login, invite_id: int, now_ms: int) -> None:
    """End an invite of the caller's. Idempotent.

    Raises:
        ProtocolError: NOT_FOUND, the same for no such invite and for somebody else's.
    """
    own = (invite.c.id == invite_id, invite.c.created_by == login.account_id)
    if connection.execute(select(invite.c.id).where(*own)).one_or_none() is None:
        raise ProtocolError(Code.NOT_FOUND)
    ended = update(invite).where(*own, invite.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    if connection.execute(ended).rowcount:
        record(connection, Act.INVITE_REVOKED, actor=login.uid.hex(), target=str(invite_id), now_ms=now_ms)
