"""Membership chains, erasing, blocks, reports, files and key backups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column("chat", sa.Column("kept_from", sa.BigInteger(), nullable=False, server_default=ZERO))
    op.add_column("chat_member", sa.Column("added_by", ID, nullable=True))
    op.create_index("ix_chat_member_added_by_created_ms", "chat_member", ["added_by", "created_ms"])
    _membership()
    _erasing()
    _people()
    _backup()
    _files()


def downgrade() -> None:
    for table in (
        "file",
        "backup_use",
        "backup_row",
        "report",
        "block",
        "chat_purge",
        "event_due",
        "member_event",
        "membership_head",
        "membership",
    ):
        op.drop_table(table)
    op.drop_index("ix_chat_member_added_by_created_ms", "chat_member")
    op.drop_column("chat_member", "added_by")
    op.drop_column("chat", "kept_from")


def _membership() -> None:
    op.create_table(
        "membership",
        sa.Column("chat", ID, nullable=False),
        sa.Column("uid", sa.LargeBinary(16), nullable=False),
        sa.Column("idfp", sa.LargeBinary(32), nullable=False),
        sa.Column("role", sa.String(6), nullable=False),
        sa.Column("dl_floor", sa.BigInteger(), nullable=False),
        sa.Column("dl_last", sa.BigInteger(), nullable=False),
        sa.Column("floor_seq", sa.BigInteger(), nullable=False),
        sa.Column("removed_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["chat"], ["chat.id"], name=op.f("fk_membership_chat"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chat", "uid", name=op.f("pk_membership")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "membership_head",
        sa.Column("chat", ID, autoincrement=False, nullable=False),
        sa.Column("timer_s", sa.BigInteger(), nullable=False),
        sa.Column("profile_ver", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.Column("superseded_by", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chat"], ["chat.id"], name=op.f("fk_membership_head_chat"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chat", name=op.f("pk_membership_head")),
    )
    op.create_table(
        "member_event",
        sa.Column("chat", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["chat"], ["chat.id"], name=op.f("fk_member_event_chat"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chat", "seq", name=op.f("pk_member_event")),
        sqlite_with_rowid=False,
    )


def _erasing() -> None:
    op.create_table(
        "event_due",
        sa.Column("due_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chat", ID, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("due_ms", "chat", "seq", name=op.f("pk_event_due")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chat_purge",
        sa.Column("chat", ID, autoincrement=False, nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chat", name=op.f("pk_chat_purge")),
    )


def _people() -> None:
    op.create_table(
        "block",
        sa.Column("account", ID, nullable=False),
        sa.Column("blocked", ID, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_block_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["blocked"], ["account.id"], name=op.f("fk_block_blocked"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", "blocked", name=op.f("pk_block")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "report",
        sa.Column("id", ID, nullable=False),
        sa.Column("reporter", ID, nullable=True),
        sa.Column("target", sa.LargeBinary(16), nullable=False),
        sa.Column("chat_id", sa.LargeBinary(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("resolved_ms", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.String(500), nullable=True),
        sa.ForeignKeyConstraint(["reporter"], ["account.id"], name=op.f("fk_report_reporter"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sqlite_autoincrement=True,
    )


def _backup() -> None:
    op.create_table(
        "backup_row",
        sa.Column("account", ID, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row_id", sa.LargeBinary(16), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_backup_row_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", "n", "row_id", name=op.f("pk_backup_row")),
    )
    op.create_table(
        "backup_use",
        sa.Column("account", ID, autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_backup_use_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_backup_use")),
    )


def _files() -> None:
    op.create_table(
        "file",
        sa.Column("id", ID, nullable=False),
        sa.Column("file_id", sa.LargeBinary(16), nullable=False),
        sa.Column("account", ID, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False, server_default=ZERO),
        sa.Column("done", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("busy_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_file_account"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("file_id", name=op.f("uq_file_file_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_file_account"), "file", ["account"])
    op.create_index(op.f("ix_file_expires_ms"), "file", ["expires_ms"])
