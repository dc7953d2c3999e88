"""Ended logins are removed instead of kept; indexes for what goes with an account.

The column is taken away at once: no program that uses it was ever released. A process of the revision before that still
runs can neither log anybody in nor renew a login afterwards. No later step may do that, see CONTRIBUTING.md.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"  # 0006 made a function that is no longer used; it was never released
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM refresh_family WHERE revoked_ms IS NOT NULL")
    with op.batch_alter_table("refresh_family", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("revoked_ms")
    op.create_index("ix_invite_created_by", "invite", ["created_by"])
    op.create_index("ix_block_blocked", "block", ["blocked"])
    op.create_index("ix_report_reporter", "report", ["reporter"])


def downgrade() -> None:
    op.drop_index("ix_report_reporter", "report")
    op.drop_index("ix_block_blocked", "block")
    op.drop_index("ix_invite_created_by", "invite")
    with op.batch_alter_table("refresh_family", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("revoked_ms", sa.BigInteger()))
