"""New identities of accounts: resets that the operator allows, successions that old identities have signed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "identity_reset",
        sa.Column("account", ID, autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["account.id"], name=op.f("fk_identity_reset_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_identity_reset")),
    )
    op.create_table(
        "succession",
        sa.Column("account", ID, autoincrement=False, nullable=False),
        sa.Column("ver", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.id"], name=op.f("fk_succession_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account", "ver", name=op.f("pk_succession")),
    )


def downgrade() -> None:
    op.drop_table("succession")
    op.drop_table("identity_reset")
