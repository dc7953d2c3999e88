"""Sealed profiles: the newest one of each account, and the one door to them. The server has no key to any."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, exists, insert, select, update

from mensajeria.protocol.errors import Code, ProtocolError
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.server.chats.blocks import is_blocked
from mensajeria.server.db.engine import AnyRow
from mensajeria.server.db.schema import account
from mensajeria.server.db.schema_chats import chat, chat_member
from mensajeria.server.db.schema_content import user_profile


class Reader(NamedTuple):
    """Who asks for a profile."""

    account_id: int
    uid: bytes


def put_profile(connection: Connection, account_id: int, ver: int, sealed: bytes, now_ms: int) -> None:
    """Put a profile in place of an older version. The very same one again is no error.

    Raises:
        ProtocolError: PROFILE_CONFLICT, the stored one is not older.
        IntegrityError: two devices put the account's first one at the same moment.
    """
    values = {"ver": ver, "sealed": sealed, "changed_ms": now_ms}
    mine = user_profile.c.account == account_id
    if connection.execute(update(user_profile).where(mine, user_profile.c.ver < ver).values(values)).rowcount:
        return
    stored = connection.execute(select(user_profile.c.ver, user_profile.c.sealed).where(mine)).one_or_none()
    if stored is None:
        connection.execute(insert(user_profile).values(account=account_id, **values))
    elif (stored.ver, stored.sealed) != (ver, sealed):
        raise ProtocolError(Code.PROFILE_CONFLICT, f"the stored version is {stored.ver}")


def profile_for(connection: Connection, server_id: bytes, caller: Reader, uid: bytes) -> AnyRow:
    """The profile (ver, sealed) of `uid`, for its owner's devices and for people whose chat the owner has accepted.

    Raises:
        ProtocolError: NOT_FOUND, for everybody else, too: nobody learns whether there is one.
    """
    owner = connection.execute(select(account.c.id).where(account.c.uid == uid)).scalar_one_or_none()
    if owner is None or (owner != caller.account_id and not _is_contact(connection, server_id, caller, owner, uid)):
        raise ProtocolError(Code.NOT_FOUND)
    query = select(user_profile.c.ver, user_profile.c.sealed).where(user_profile.c.account == owner)
    found = connection.execute(query).one_or_none()
    if found is None:
        raise ProtocolError(Code.NOT_FOUND)
    return found


def _is_contact(connection: Connection, server_id: bytes, caller: Reader, owner: int, uid: bytes) -> bool:
    """Whether the owner has accepted their direct chat with the caller, and neither has blocked the other."""
    accepted = exists().where(
        chat.c.chat_id == direct_chat_id(server_id, caller.uid, uid),
        chat_member.c.chat == chat.c.id,
        chat_member.c.account == owner,
        chat_member.c.accepted,
        ~chat_member.c.declined,
    )
    if not connection.execute(select(accepted)).scalar_one():
        return False
    return not is_blocked(connection, caller.account_id, owner)
