"""Facts about this server that are fixed at its first start: `server_state`, read once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from mensajeria.kit.ids import random16
from mensajeria.server.db.schema import server_state
from mensajeria.server.findings import Finding, OperatorError

SERVER_ID = "server_id"
RESTORE_EPOCH = "restore_epoch"
DECOY = "decoy_record"
KEYS = "keys_fingerprint"
LOG_SIZE = "log_size"


class StateError(OperatorError):
    """The database and the secret files do not belong together, or the state is incomplete."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What never changes, except by the operator.

    `server_id`: 16 bytes, pinned by clients. `restore_epoch` grows when an operator declares a restored backup.
    `decoy_record`: the OPAQUE record that answers for handles that do not exist. `keys`: the secret files' fingerprint.
    """

    server_id: bytes
    restore_epoch: int
    decoy_record: bytes
    keys: bytes

    @property
    def redis_prefix(self) -> str:
        """What the names of this server's keys and channels begin with: several servers may share a Redis."""
        return f"mensajeria:{self.server_id.hex()}:"

    def __repr__(self) -> str:
        return f"Facts(server_id={self.server_id.hex()})"


def read_facts(connection: Connection) -> Facts | None:
    """The facts, or None for a database that has never been used.

    Raises:
        StateError: some are there and some are not.
    """
    rows = connection.execute(select(server_state.c.key, server_state.c.value))
    state: dict[str, bytes] = {row.key: row.value for row in rows}
    if not state:
        return None
    try:
        return Facts(state[SERVER_ID], int.from_bytes(state[RESTORE_EPOCH], "big"), state[DECOY], state[KEYS])
    except KeyError as missing:
        raise StateError(Finding.IDENTITY_DAMAGED(name=str(missing.args[0]))) from missing


def create_facts(connection: Connection, decoy_record: bytes, keys: bytes) -> Facts:
    """Make the facts of a new server."""
    facts = Facts(random16(), 1, decoy_record, keys)
    values = {
        SERVER_ID: facts.server_id,
        RESTORE_EPOCH: facts.restore_epoch.to_bytes(8, "big"),
        DECOY: decoy_record,
        KEYS: keys,
        LOG_SIZE: (0).to_bytes(8, "big"),
    }
    connection.execute(insert(server_state), [{"key": key, "value": value} for key, value in values.items()])
    return facts
