"""Leaves of the key log, appended in the transaction of the key change they record (docs/protocol/e2ee.md §12)."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, update

from mensajeria.protocol.records import TransparencyLeaf
from mensajeria.protocol.transparency import encode_leaf, handle_label, handle_value, uid_label, uid_value
from mensajeria.server.db.schema import kt_leaf, server_state
from mensajeria.server.facts import LOG_SIZE

NO_PREVIOUS = -1


def record_keys(
    connection: Connection, *, uid: bytes, identity: bytes, list_body: bytes, ver: int, now_ms: int
) -> None:
    """The leaf of a user's identity and device list, version `ver`."""
    append_leaf(connection, label=uid_label(uid), ver=ver, value_hash=uid_value(identity, list_body), now_ms=now_ms)


def record_handle(connection: Connection, *, server_id: bytes, handle: str, uid: bytes, now_ms: int) -> None:
    """The leaf that says whose a handle is, from now on: it may have been a deleted account's before."""
    label = handle_label(server_id, handle)
    newest = connection.execute(select(func.max(kt_leaf.c.ver)).where(kt_leaf.c.label == label)).scalar_one()
    ver = 1 if newest is None else newest + 1
    append_leaf(connection, label=label, ver=ver, value_hash=handle_value(uid), now_ms=now_ms)


def append_leaf(connection: Connection, *, label: bytes, ver: int, value_hash: bytes, now_ms: int) -> int:
    """Append a leaf; its index. The log's lock is held until the transaction ends, so that indexes have no gap."""
    size_row = select(server_state.c.value).where(server_state.c.key == LOG_SIZE).with_for_update()
    index = int.from_bytes(connection.execute(size_row).scalar_one(), "big")
    newest = select(func.max(kt_leaf.c.idx)).where(kt_leaf.c.label == label)
    previous = connection.execute(newest).scalar_one()
    prev_idx = NO_PREVIOUS if previous is None else previous
    leaf = TransparencyLeaf(label=label, ver=ver, value_hash=value_hash, prev_idx=prev_idx, ts=now_ms)
    connection.execute(
        insert(kt_leaf).values(
            idx=index, label=label, ver=ver, value_hash=value_hash, prev_idx=prev_idx, ts=now_ms, leaf=encode_leaf(leaf)
        )
    )
    size = (index + 1).to_bytes(8, "big")
    connection.execute(update(server_state).where(server_state.c.key == LOG_SIZE).values(value=size))
    return index
