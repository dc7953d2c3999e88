"""Taking a message away, with everything that hangs on it. What is deleted is overwritten (`secure_delete`)."""

from __future__ import annotations

from mensajeria.client.store.db import Db
from mensajeria.client.store.fulltext import forget_text


def drop_message(db: Db, message_id: int) -> None:
    """Delete the message, its text in the index, its versions and reactions."""
    forget_text(db, message_id)
    drop_changes(db, message_id)
    db.execute("DELETE FROM messages WHERE id = ?", message_id)


def drop_changes(db: Db, message_id: int) -> None:
    """Delete versions, reactions and deletes of a message."""
    db.execute("DELETE FROM reactions WHERE message = ?", message_id)
    db.execute(
        "DELETE FROM changes WHERE (target_mid, target_uid, chat) = "
        "(SELECT mid, sender, chat FROM messages WHERE id = ?)",
        message_id,
    )
