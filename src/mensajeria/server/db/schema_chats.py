"""Chats, their logs and the mailboxes.

`event` and `mailbox` have no foreign keys: every insert into them holds the lock of the chat's or device's row, which
proves that it exists, and neither chats nor devices are ever deleted. A check per row would cost the hot path a third.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    UniqueConstraint,
    false,
    text,
)

from mensajeria.server.db.schema import Id, metadata

_ZERO: Final = text("0")

chat: Final = Table(
    "chat",
    metadata,
    Column("id", Id, primary_key=True),
    Column("chat_id", LargeBinary, nullable=False, unique=True),
    Column("kind", SmallInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False, server_default=_ZERO),
    Column("last_ms", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default=_ZERO),
    Column("member_seq", BigInteger, nullable=False, server_default=_ZERO),
    Column("member_hash", LargeBinary, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 50},  # every message updates its chat's row: leave room for it on the same page
)

chat_member: Final = Table(
    "chat_member",
    metadata,
    Column("chat", Id, ForeignKey("chat.id"), primary_key=True),
    Column("account", Id, ForeignKey("account.id"), primary_key=True),
    Column("accepted", Boolean, nullable=False, server_default=false()),
    Column("declined", Boolean, nullable=False, server_default=false()),
    Column("delivered", BigInteger, nullable=False, server_default=_ZERO),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_chat_member_account_chat", "account", "chat"),
    postgresql_with={"fillfactor": 70},
)

device_cursor: Final = Table(
    "device_cursor",
    metadata,
    Column("device", Id, ForeignKey("device.id"), primary_key=True),
    Column("chat", Id, ForeignKey("chat.id"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 70},
    sqlite_with_rowid=False,
)

event: Final = Table(
    "event",
    metadata,
    Column("chat", Id, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("mid", LargeBinary, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("chat", "mid"),
    sqlite_with_rowid=False,
)
"""A chat's append-only log. No column names the sender."""

mailbox: Final = Table(
    "mailbox",
    metadata,
    Column("device", Id, primary_key=True, autoincrement=False),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("prekey_id", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Index("ix_mailbox_ts", "ts"),
    sqlite_with_rowid=False,
)
"""To-device envelopes until the device acks them. `id` comes from device.mail_seq under the device row's lock."""

STATUS_NEW: Final = 0
STATUS_KNOWN: Final = 1
STATUS_MID_CONFLICT: Final = 2
STATUS_STALE_EPOCH: Final = 3
STATUS_UNKNOWN_CHAT: Final = 4

POSTGRES_APPEND: Final = """
CREATE OR REPLACE FUNCTION append_events(
  p_chat bigint[], p_mid bytea[], p_epoch bigint[], p_kind smallint[], p_ts bigint[], p_body bytea[]
) RETURNS TABLE (status smallint, seq bigint, ts bigint)
LANGUAGE plpgsql VOLATILE AS $append$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM chat WHERE id = ANY (p_chat) ORDER BY id FOR NO KEY UPDATE;
  -- A new statement sees what was committed before the locks were ours.
  RETURN QUERY
  WITH judged AS MATERIALIZED (
    SELECT i.ord, i.chat, i.mid, i.kind, i.ts, i.body, e.seq AS known_seq, e.ts AS known_ts,
      (CASE WHEN c.id IS NULL THEN 4
            WHEN e.seq IS NOT NULL THEN CASE WHEN e.body = i.body OR e.kind = 2 THEN 1 ELSE 2 END
            WHEN i.epoch < c.epoch THEN 3
            ELSE 0 END)::smallint AS status
    FROM unnest(p_chat, p_mid, p_epoch, p_kind, p_ts, p_body)
      WITH ORDINALITY AS i(chat, mid, epoch, kind, ts, body, ord)
    LEFT JOIN chat c ON c.id = i.chat
    LEFT JOIN event e ON e.chat = i.chat AND e.mid = i.mid
  ), fresh AS (
    SELECT chat, count(*) AS n, max(ts) AS ts FROM judged WHERE status = 0 GROUP BY chat
  ), advanced AS (
    UPDATE chat c SET last_seq = c.last_seq + f.n, last_ms = greatest(c.last_ms, f.ts) FROM fresh f WHERE c.id = f.chat
    RETURNING c.id, c.last_seq - f.n AS base
  ), numbered AS MATERIALIZED (
    SELECT j.ord, j.chat, a.base + row_number() OVER (PARTITION BY j.chat ORDER BY j.ord) AS seq,
      j.mid, j.ts, j.kind, j.body
    FROM judged j JOIN advanced a ON a.id = j.chat WHERE j.status = 0
  ), stored AS (
    INSERT INTO event (chat, seq, mid, ts, kind, body) SELECT chat, seq, mid, ts, kind, body FROM numbered
  )
  SELECT j.status, coalesce(n.seq, j.known_seq, 0), coalesce(j.known_ts, j.ts)
  FROM judged j LEFT JOIN numbered n ON n.ord = j.ord ORDER BY j.ord;
END
$append$
"""
"""Appends a batch; one result row for each input row, in order. No (chat, mid) may occur twice in one batch."""

POSTGRES_STATEMENTS: Final = (
    # Ciphertext does not compress: do not try.
    "ALTER TABLE event ALTER COLUMN body SET STORAGE EXTERNAL",
    "ALTER TABLE mailbox ALTER COLUMN blob SET STORAGE EXTERNAL",
    POSTGRES_APPEND,
)
"""What the first migration runs on PostgreSQL after the tables are made."""
