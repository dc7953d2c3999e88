"""Accounts that wait for approval, reserved names, invitations, the audit log, signals to running servers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BEFORE = "status in ('active', 'suspended')"
AFTER = "status in ('active', 'suspended', 'pending')"


def upgrade() -> None:
    op.add_column("chat", sa.Column("departed", sa.Boolean(), nullable=False, server_default=sa.false()))
    _allow_statuses(AFTER)
    op.create_table(
        "handle_reserved",
        sa.Column("handle", sa.String(32), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("handle", name=op.f("pk_handle_reserved")),
    )
    _invitation()
    _audit()
    op.create_table(
        "server_signal",
        sa.Column("id", ID, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_signal")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Accounts that wait for approval become suspended: nothing of them is lost."""
    for table in ("server_signal", "audit", "invitation", "handle_reserved"):
        op.drop_table(table)
    op.execute("UPDATE account SET status = 'suspended' WHERE status = 'pending'")
    _allow_statuses(BEFORE)
    with op.batch_alter_table("chat") as batch:
        batch.drop_column("departed")


def _allow_statuses(rule: str) -> None:
    """PostgreSQL alters the table, SQLite copies it."""
    name = op.f("ck_account_status")
    with op.batch_alter_table("account", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, sa.text(rule))


def _invitation() -> None:
    op.create_table(
        "invitation",
        sa.Column("account", ID, nullable=False, autoincrement=False),
        sa.Column("invite", ID),
        sa.Column("invited_by", ID),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_invitation_account"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["invite"], ["invite.id"], name=op.f("fk_invitation_invite"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["invited_by"], ["account.id"], name=op.f("fk_invitation_invited_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_invitation")),
    )
    op.create_index(op.f("ix_invitation_invite"), "invitation", ["invite"])
    op.create_index(op.f("ix_invitation_invited_by"), "invitation", ["invited_by"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", ID, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_ts"), "audit", ["ts"])
