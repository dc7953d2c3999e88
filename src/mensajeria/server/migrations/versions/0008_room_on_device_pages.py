"""Room on the pages of `device`: its rows change at every connection and every message of a mailbox.

With none, a changed row goes to another page and into all five indexes anew. Pages that are full stay as they are
until what is dead on them is swept away.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE device SET (fillfactor = 70)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE device RESET (fillfactor)")
