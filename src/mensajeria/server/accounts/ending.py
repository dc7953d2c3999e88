"""The end of logins and of devices, as plain functions inside a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from mensajeria.server.accounts.refresh import end_login
from mensajeria.server.db.schema import device, one_time_key
from mensajeria.server.db.schema_chats import device_cursor, mailbox


def end_all_logins(connection: Connection, account_id: int) -> list[int]:
    """End every login of an account; the row ids of its devices, whose connections are to be closed."""
    query = select(device.c.id).where(device.c.account_id == account_id, device.c.revoked_ms.is_(None))
    device_ids = list(connection.execute(query.order_by(device.c.id).with_for_update()).scalars())
    for device_id in device_ids:
        end_login(connection, device_id)
    return device_ids


def revoke_device(connection: Connection, device_id: int, now_ms: int) -> None:
    """A device leaves its account: login, prekeys, mailbox and cursors go. Its row stays, so that its id stays used."""
    connection.execute(select(device.c.id).where(device.c.id == device_id).with_for_update())
    end_login(connection, device_id)
    connection.execute(delete(one_time_key).where(one_time_key.c.device_id == device_id))
    empty_device(connection, device_id)
    gone = dict.fromkeys(("fallback_body", "fallback_sig", "fallback_ms", "pq_body", "pq_sig", "pq_prekey_id"))
    values = gone | {"revoked_ms": now_ms, "mail_bytes": 0}
    connection.execute(update(device).where(device.c.id == device_id).values(values))


def empty_device(connection: Connection, device_id: int) -> None:
    """Remove what has no foreign key to the device or none that cascades. The caller holds the device's row."""
    connection.execute(delete(mailbox).where(mailbox.c.device == device_id))
    connection.execute(delete(device_cursor).where(device_cursor.c.device == device_id))
