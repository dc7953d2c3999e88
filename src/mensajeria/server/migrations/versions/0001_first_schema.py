"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The function that appends to the chats' logs, and no attempt to compress what is encrypted.
POSTGRES = (
    "ALTER TABLE event ALTER COLUMN body SET STORAGE EXTERNAL",
    "ALTER TABLE mailbox ALTER COLUMN blob SET STORAGE EXTERNAL",
    """CREATE OR REPLACE FUNCTION append_events(
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
$append$""",
)


def create_account() -> None:
    op.create_table(
        "account",
        sa.Column("id", ID, nullable=False),
        sa.Column("uid", sa.LargeBinary(length=16), nullable=False),
        sa.Column("handle", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("opaque_suite", sa.Integer(), nullable=False),
        sa.Column("opaque_record", sa.LargeBinary(), nullable=False),
        sa.Column("root_ver", sa.BigInteger(), nullable=False),
        sa.Column("wrap_password", sa.LargeBinary(), nullable=False),
        sa.Column("wrap_recovery", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("idfp", sa.LargeBinary(length=32), nullable=False),
        sa.Column("list_ver", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status in ('active', 'suspended')", name=op.f("ck_account_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("handle", name=op.f("uq_account_handle")),
        sa.UniqueConstraint("uid", name=op.f("uq_account_uid")),
        sqlite_autoincrement=True,
    )


def create_chat() -> None:
    op.create_table(
        "chat",
        sa.Column("id", ID, nullable=False),
        sa.Column("chat_id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("member_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("member_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat")),
        sa.UniqueConstraint("chat_id", name=op.f("uq_chat_chat_id")),
        postgresql_with={"fillfactor": 50},
    )


def create_event() -> None:
    op.create_table(
        "event",
        sa.Column("chat", ID, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mid", sa.LargeBinary(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chat", "seq", name=op.f("pk_event")),
        sa.UniqueConstraint("chat", "mid", name=op.f("uq_event_chat_mid")),
        sqlite_with_rowid=False,
    )


def create_kt_leaf() -> None:
    op.create_table(
        "kt_leaf",
        sa.Column("idx", ID, autoincrement=False, nullable=False),
        sa.Column("label", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ver", sa.BigInteger(), nullable=False),
        sa.Column("value_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("prev_idx", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_kt_leaf")),
        sa.UniqueConstraint("label", "ver", name=op.f("uq_kt_leaf_label_ver")),
    )


def create_mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("device", ID, autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prekey_id", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", "id", name=op.f("pk_mailbox")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mailbox_ts", "mailbox", ["ts"], unique=False)


def create_server_state() -> None:
    op.create_table(
        "server_state",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_server_state")),
    )


def create_chat_member() -> None:
    op.create_table(
        "chat_member",
        sa.Column("chat", ID, nullable=False),
        sa.Column("account", ID, nullable=False),
        sa.Column("accepted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("declined", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_chat_member_account")),
        sa.ForeignKeyConstraint(["chat"], ["chat.id"], name=op.f("fk_chat_member_chat")),
        sa.PrimaryKeyConstraint("chat", "account", name=op.f("pk_chat_member")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_chat_member_account_chat", "chat_member", ["account", "chat"], unique=False)


def create_device() -> None:
    op.create_table(
        "device",
        sa.Column("id", ID, nullable=False),
        sa.Column("did", sa.LargeBinary(length=16), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("ed25519", sa.LargeBinary(length=32), nullable=False),
        sa.Column("curve25519", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("ck_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("ck_id", sa.LargeBinary(length=32), nullable=True),
        sa.Column("rest_counter", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("known_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("fallback_body", sa.LargeBinary(), nullable=True),
        sa.Column("fallback_sig", sa.LargeBinary(), nullable=True),
        sa.Column("fallback_ms", sa.BigInteger(), nullable=True),
        sa.Column("pq_body", sa.LargeBinary(), nullable=True),
        sa.Column("pq_sig", sa.LargeBinary(), nullable=True),
        sa.Column("pq_prekey_id", sa.BigInteger(), nullable=True),
        sa.Column("mail_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("mail_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_device_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint("curve25519", name=op.f("uq_device_curve25519")),
        sa.UniqueConstraint("did", name=op.f("uq_device_did")),
        sa.UniqueConstraint("ed25519", name=op.f("uq_device_ed25519")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_device_account_id"), "device", ["account_id"], unique=False)


def create_device_list() -> None:
    op.create_table(
        "device_list",
        sa.Column("account_id", ID, autoincrement=False, nullable=False),
        sa.Column("ver", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sig", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_device_list_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "ver", name=op.f("pk_device_list")),
    )


def create_invite() -> None:
    op.create_table(
        "invite",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("uses_left >= 0", name=op.f("ck_invite_uses_left")),
        sa.ForeignKeyConstraint(["created_by"], ["account.id"], name=op.f("fk_invite_created_by"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invite")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invite_token_hash")),
        sqlite_autoincrement=True,
    )


def create_device_cursor() -> None:
    op.create_table(
        "device_cursor",
        sa.Column("device", ID, nullable=False),
        sa.Column("chat", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["chat"], ["chat.id"], name=op.f("fk_device_cursor_chat")),
        sa.ForeignKeyConstraint(["device"], ["device.id"], name=op.f("fk_device_cursor_device")),
        sa.PrimaryKeyConstraint("device", "chat", name=op.f("pk_device_cursor")),
        postgresql_with={"fillfactor": 70},
        sqlite_with_rowid=False,
    )


def create_one_time_key() -> None:
    op.create_table(
        "one_time_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sig", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_one_time_key_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_key")),
        sa.UniqueConstraint("device_id", "key", name=op.f("uq_one_time_key_device_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_one_time_key_device_id_id"), "one_time_key", ["device_id", "id"], unique=False)


def create_refresh_family() -> None:
    op.create_table(
        "refresh_family",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("rotated_ms", sa.BigInteger(), nullable=False),
        sa.Column("successor", sa.LargeBinary(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_refresh_family_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_family")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_refresh_family_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_refresh_family_device_id"), "refresh_family", ["device_id"], unique=False)


def upgrade() -> None:
    create_account()
    create_chat()
    create_event()
    create_kt_leaf()
    create_mailbox()
    create_server_state()
    create_chat_member()
    create_device()
    create_device_list()
    create_invite()
    create_device_cursor()
    create_one_time_key()
    create_refresh_family()
    if op.get_bind().dialect.name == "postgresql":
        for statement in POSTGRES:
            op.execute(statement)
