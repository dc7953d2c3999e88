"""Chats, their logs and the mailboxes.

`event` and `mailbox` have no foreign keys: every insert into them holds the lock of the chat's or device's row, which
proves that it exists, and what is deleted takes its rows with it under the same lock: a check for every row would only
cost time.

On PostgreSQL the tables whose rows change all the time leave room for it on their pages (fillfactor). That stands in
the migrations alone: here it would load PostgreSQL's dialect into every server that has SQLite.
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
    Column("departed", Boolean, nullable=False, server_default=false()),  # direct: the other account was deleted
    Column("kept_from", BigInteger, nullable=False, server_default=_ZERO),  # retention has erased the rows up to here
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
    Column("added_by", Id),  # who made this a request; null for the members who began the chat
    Index("ix_chat_member_account_chat", "account", "chat"),
    Index("ix_chat_member_added_by_created_ms", "added_by", "created_ms"),
)

device_cursor: Final = Table(
    "device_cursor",
    metadata,
    Column("device", Id, ForeignKey("device.id"), primary_key=True),
    Column("chat", Id, ForeignKey("chat.id"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
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
  -- A new statement sees what was committed before the locks were ours, and last_seq stays what it reads.
  RETURN QUERY
  WITH judged AS (
    SELECT i.ord, i.chat, i.mid, i.kind, i.body, coalesce(e.ts, i.ts) AS ts, e.seq AS known_seq, c.last_seq,
      (CASE WHEN c.id IS NULL THEN 4
            WHEN e.seq IS NOT NULL THEN CASE WHEN e.body = i.body OR e.kind = 2 THEN 1 ELSE 2 END
            WHEN i.epoch < c.epoch THEN 3
            ELSE 0 END)::smallint AS status
    FROM unnest(p_chat, p_mid, p_epoch, p_kind, p_ts, p_body)
      WITH ORDINALITY AS i(chat, mid, epoch, kind, ts, body, ord)
    LEFT JOIN chat c ON c.id = i.chat
    LEFT JOIN event e ON e.chat = i.chat AND e.mid = i.mid
  ), numbered AS MATERIALIZED (
    SELECT j.ord, j.chat, j.mid, j.kind, j.body, j.ts, j.status,
      CASE WHEN j.status = 0 THEN j.last_seq + row_number() OVER (PARTITION BY j.chat, j.status ORDER BY j.ord)
           ELSE coalesce(j.known_seq, 0) END AS seq
    FROM judged j
  ), stored AS (
    INSERT INTO event (chat, seq, mid, ts, kind, body)
    SELECT n.chat, n.seq, n.mid, n.ts, n.kind, n.body FROM numbered n WHERE n.status = 0
  ), advanced AS (
    UPDATE chat c SET last_seq = l.seq, last_ms = greatest(c.last_ms, l.ts)
    FROM (SELECT n.chat, max(n.seq) AS seq, max(n.ts) AS ts FROM numbered n WHERE n.status = 0 GROUP BY n.chat) l
    WHERE c.id = l.chat
  )
  SELECT n.status, n.seq, n.ts FROM numbered n ORDER BY n.ord;
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
