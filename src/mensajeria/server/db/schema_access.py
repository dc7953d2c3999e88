"""Who may come in and who did what: reserved names, invitations, the audit log, signals to running processes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table

from mensajeria.server.db.schema import Id, metadata

handle_reserved: Final = Table(
    "handle_reserved",
    metadata,
    Column("handle", String(32), primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
)
"""Names of deleted accounts: nobody may take them for a while and be mistaken for who had them."""

invitation: Final = Table(
    "invitation",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("invite", Id, ForeignKey("invite.id", ondelete="SET NULL"), index=True),
    Column("invited_by", Id, ForeignKey("account.id", ondelete="SET NULL"), index=True),
    Column("created_ms", BigInteger, nullable=False),
)
"""Who came by which invite. `invited_by` is null when it was the operator's."""

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("ts", BigInteger, nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("target", String(80), nullable=False),
    Column("detail", String(200), nullable=False),
    sqlite_autoincrement=True,
)
"""What was done to accounts and to the server, by whom, when; never content. Kept for a number of days."""

server_signal: Final = Table(
    "server_signal",
    metadata,
    Column("id", Id, primary_key=True),
    Column("ts", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""What an operator's command tells the running servers. Rows live for some minutes."""

identity_reset: Final = Table(
    "identity_reset",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
"""For which accounts the operator allows a new identity without the old one's signature. The token is not kept."""

succession: Final = Table(
    "succession",
    metadata,
    Column("account", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("ver", BigInteger, primary_key=True, autoincrement=False),
    Column("proof", LargeBinary, nullable=False),
)
"""What old identities have signed for new ones; `ver` is the list version with which the new one came."""

__all__ = ["audit", "handle_reserved", "identity_reset", "invitation", "server_signal", "succession"]
