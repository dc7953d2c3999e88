"""Membership chains, erasing, blocks, reports, profiles, files and key backups: on the same MetaData as the others."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from mensajeria.server.db.schema import Id, metadata

_ZERO: Final = text("0")

membership: Final = Table(
    "membership",
    metadata,
    Column("chat", Id, ForeignKey("chat.id", ondelete="CASCADE"), primary_key=True),
    Column("uid", LargeBinary(16), primary_key=True),
    Column("idfp", LargeBinary(32), nullable=False),
    Column("role", String(6), nullable=False),
    Column("dl_floor", BigInteger, nullable=False),
    Column("dl_last", BigInteger, nullable=False),
    Column("floor_seq", BigInteger, nullable=False),
    Column("removed_seq", BigInteger),
    sqlite_with_rowid=False,
)
"""The state that a chat's membership events add up to: its members, and with `removed_seq` its former ones.

By uid and not by account: what was signed stays true when an account is deleted. `chat_member` is who has access.
"""

membership_head: Final = Table(
    "membership_head",
    metadata,
    Column("chat", Id, ForeignKey("chat.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("timer_s", BigInteger, nullable=False),
    Column("profile_ver", BigInteger, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("superseded_by", LargeBinary, nullable=False),
)
"""The part of the same state that is not about one member; sequence number, hash and epoch stand in `chat`."""

member_event: Final = Table(
    "member_event",
    metadata,
    Column("chat", Id, ForeignKey("chat.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("log_seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Where in the chat's log each event of the membership chain stands."""

event_due: Final = Table(
    "event_due",
    metadata,
    Column("due_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("chat", Id, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""When the server may erase rows whose authors set a timer. No foreign keys, as `event`."""

chat_purge: Final = Table(
    "chat_purge",
    metadata,
    Column("chat", Id, primary_key=True, autoincrement=False),
    Column("since_ms", BigInteger, nullable=False),
)
"""Groups that their last member has left: the log goes, in small steps."""

block: Final = Table(
    "block",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("blocked", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

report: Final = Table(
    "report",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reporter", Id, ForeignKey("account.id", ondelete="SET NULL"), index=True),
    Column("target", LargeBinary(16), nullable=False),
    Column("chat_id", LargeBinary),
    Column("text", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("resolved_ms", BigInteger),
    Column("resolution", String(500)),
    sqlite_autoincrement=True,
)
"""Claims by users: nothing in them is proven."""

backup_row: Final = Table(
    "backup_row",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("row_id", LargeBinary(16), primary_key=True),
    Column("counter", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)

backup_use: Final = Table(
    "backup_use",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("bytes", BigInteger, nullable=False, server_default=_ZERO),
)

user_profile: Final = Table(
    "user_profile",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("ver", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""The newest profile of each account that has one, sealed under a key that only its contacts have."""

file: Final = Table(
    "file",
    metadata,
    Column("id", Id, primary_key=True),
    Column("file_id", LargeBinary(16), nullable=False),
    Column("account", Id, ForeignKey("account.id", ondelete="SET NULL"), index=True),
    Column("size", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False, server_default=_ZERO),
    Column("done", Boolean, nullable=False, server_default=false()),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
    Column("busy_ms", BigInteger),
    UniqueConstraint("file_id"),
    sqlite_autoincrement=True,
)
"""Uploaded ciphertext: what there is of it. Without an account it is nobody's and goes at the next sweep."""

__all__ = [
    "backup_row",
    "backup_use",
    "block",
    "chat_purge",
    "event_due",
    "file",
    "member_event",
    "membership",
    "membership_head",
    "report",
    "user_profile",
]
