"""The function that appends a batch of new rows without looking for each of them first."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

APPEND_NEW = """CREATE OR REPLACE FUNCTION append_new(
  p_chat bigint[], p_epoch bigint[], p_kind smallint[], p_ts bigint[], p_start int[], p_length int[],
  p_mids bytea, p_bodies bytea
) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE AS $append$
#variable_conflict use_column
DECLARE
  seqs bigint[];
BEGIN
  PERFORM 1 FROM chat WHERE id = ANY (p_chat) ORDER BY id FOR NO KEY UPDATE;
  WITH numbered AS MATERIALIZED (
    SELECT i.ord, i.chat, i.kind, i.ts, i.start, i.length,
      c.last_seq + row_number() OVER (PARTITION BY i.chat ORDER BY i.ord) AS seq
    FROM unnest(p_chat, p_epoch, p_kind, p_ts, p_start, p_length)
      WITH ORDINALITY AS i(chat, epoch, kind, ts, start, length, ord)
    JOIN chat c ON c.id = i.chat AND c.epoch <= i.epoch
  ), stored AS (
    INSERT INTO event (chat, seq, mid, ts, kind, body)
    SELECT n.chat, n.seq, substring(p_mids FROM n.ord::int * 16 - 15 FOR 16), n.ts, n.kind,
      substring(p_bodies FROM n.start + 1 FOR n.length)
    FROM numbered n
  ), advanced AS (
    UPDATE chat c SET last_seq = l.seq, last_ms = greatest(c.last_ms, l.ts)
    FROM (SELECT n.chat, max(n.seq) AS seq, max(n.ts) AS ts FROM numbered n GROUP BY n.chat) l
    WHERE c.id = l.chat
  )
  SELECT array_agg(n.seq ORDER BY n.ord) INTO seqs FROM numbered n;
  IF cardinality(seqs) IS DISTINCT FROM cardinality(p_chat) THEN
    RAISE EXCEPTION 'a chat is unknown or an epoch stale';
  END IF;
  RETURN seqs;
END
$append$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(APPEND_NEW)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION append_new")
