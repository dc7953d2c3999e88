"""Sealed profiles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "user_profile",
        sa.Column("account", ID, autoincrement=False, nullable=False),
        sa.Column("ver", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_user_profile_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_user_profile")),
    )


def downgrade() -> None:
    op.drop_table("user_profile")
