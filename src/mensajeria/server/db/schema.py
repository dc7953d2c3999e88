"""Tables of accounts, devices, keys, tokens and the key log. `schema_chats` puts the chats' on the same MetaData.

Times are milliseconds UTC; byte strings are raw. Versions and sequence numbers are below 2^63.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: Final = MetaData(naming_convention=NAMING)

Id: Final = BigInteger().with_variant(Integer, "sqlite")
"""An internal row id: 64 bits everywhere (SQLite's INTEGER PRIMARY KEY is its 64-bit row id)."""

ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"
PENDING: Final = "pending"
"""Registered, and not yet approved by the operator."""

# A row of facts about this server: server_id, restore_epoch, decoy record, log id. Small and read at start.
server_state = Table(
    "server_state",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uid", LargeBinary(16), nullable=False, unique=True),
    Column("handle", String(32), nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("opaque_suite", Integer, nullable=False),
    Column("opaque_record", LargeBinary, nullable=False),
    Column("root_ver", BigInteger, nullable=False),
    Column("wrap_password", LargeBinary, nullable=False),
    Column("wrap_recovery", LargeBinary, nullable=False),
    Column("identity", LargeBinary, nullable=False),
    Column("idfp", LargeBinary(32), nullable=False),
    Column("list_ver", BigInteger, nullable=False),
    CheckConstraint("status in ('active', 'suspended', 'pending')", name="status"),
    sqlite_autoincrement=True,
)

device_list = Table(
    "device_list",
    metadata,
    Column("account_id", Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("ver", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# rest_counter: highest used counter of Mensajeria-Mac. gen: highest count of persisted encryptions seen.
# mail_seq: last id given in this device's mailbox, advanced under this row's lock. mail_bytes: what lies in it now.
device = Table(
    "device",
    metadata,
    Column("id", Id, primary_key=True),
    Column("did", LargeBinary(16), nullable=False, unique=True),
    Column("account_id", Id, ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("ed25519", LargeBinary(32), nullable=False, unique=True),
    Column("curve25519", LargeBinary(32), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("ck_sealed", LargeBinary),
    Column("ck_id", LargeBinary(32)),
    Column("rest_counter", BigInteger, nullable=False, server_default="0"),
    Column("gen", BigInteger, nullable=False, server_default="0"),
    Column("known_hash", LargeBinary(32)),
    Column("fallback_body", LargeBinary),
    Column("fallback_sig", LargeBinary),
    Column("fallback_ms", BigInteger),
    Column("pq_body", LargeBinary),
    Column("pq_sig", LargeBinary),
    Column("pq_prekey_id", BigInteger),
    Column("mail_seq", BigInteger, nullable=False, server_default="0"),
    Column("mail_bytes", BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

one_time_key = Table(
    "one_time_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("device_id", Id, ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    UniqueConstraint("device_id", "key"),
    Index(None, "device_id", "id"),
    sqlite_autoincrement=True,
)

# A family is one login of one device, and goes with it: its newest token's hash, the one before it, and (for 15 s) the
# sealed successor.
refresh_family = Table(
    "refresh_family",
    metadata,
    Column("id", Id, primary_key=True),
    Column("device_id", Id, ForeignKey("device.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("previous_hash", LargeBinary(32)),
    Column("rotated_ms", BigInteger, nullable=False),
    Column("successor", LargeBinary),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# created_by is null for an invite made by the operator.
invite = Table(
    "invite",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_by", Id, ForeignKey("account.id", ondelete="SET NULL"), index=True),
    Column("uses_left", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    CheckConstraint("uses_left >= 0", name="uses_left"),
    sqlite_autoincrement=True,
)

# `idx` is gapless from 0: given under the lock of the server_state row "log_size".
kt_leaf = Table(
    "kt_leaf",
    metadata,
    Column("idx", Id, primary_key=True, autoincrement=False),
    Column("label", LargeBinary(32), nullable=False),
    Column("ver", BigInteger, nullable=False),
    Column("value_hash", LargeBinary(32), nullable=False),
    Column("prev_idx", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    UniqueConstraint("label", "ver"),
)
