"""What messages say of their files, and the files on their way to the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mensajeria.client.api import Attachment, AttachmentState
from mensajeria.client.core.filenames import is_risky, safe_name
from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.errors import StoreMisuseError
from mensajeria.protocol import limits
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.records_files import FileBody

NOT_YET: Final = bytes(16)
"""In place of the blob's id while the file is on its way to the server."""
_UPLOADS: Final = (
    "SELECT c.chat_id, u.mid, u.stage, u.sealed, u.body, u.file_id, u.done, u.failed, u.expire_s "
    "FROM uploads u JOIN chats c ON c.key = u.chat"
)
_MESSAGE: Final = (
    "(SELECT m.id FROM messages m JOIN chats c ON c.key = m.chat WHERE m.mid = ? AND c.chat_id = ? AND m.sender = ?)"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """An own file that its message waits for. Its ciphertext lies in the profile's folder, ready to be sent."""

    chat_id: ChatId
    mid: Mid
    stage: str
    """Name of the encrypted copy."""
    sealed: int
    """Bytes of it."""
    body: bytes = field(repr=False)
    """Encoded FileBody; its blob id is zeros until the upload is complete."""
    file_id: bytes | None = None
    """What the server calls it, once it was asked for room."""
    done: bool = False
    """The server has it all; the copy is kept until the message is acked."""
    failed: str | None = None
    """A protocol.errors.Code: refused for good."""
    expire_s: int = 0
    """The chat's timer when it was queued."""


class Uploads:
    """`tx.uploads`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(self, upload: Upload) -> None:
        """Queue an upload. Raises UnknownChatError."""
        key = chat_key(self._db, upload.chat_id)
        sql = "INSERT INTO uploads(chat, mid, stage, sealed, body, expire_s) VALUES(?, ?, ?, ?, ?, ?)"
        self._db.execute(sql, key, upload.mid, upload.stage, upload.sealed, upload.body, upload.expire_s)

    def get(self, chat_id: ChatId, mid: Mid) -> Upload | None:
        """The upload of a message; None when it has none, or was acked or discarded."""
        row = self._db.one(f"{_UPLOADS} WHERE c.chat_id = ? AND u.mid = ?", chat_id, mid)
        return None if row is None else _upload(row)

    def next(self) -> Upload | None:
        """The one to go on with: the oldest that is neither done nor failed."""
        row = self._db.one(f"{_UPLOADS} WHERE NOT u.done AND u.failed IS NULL ORDER BY u.position LIMIT 1")
        return None if row is None else _upload(row)

    def stages(self) -> frozenset[str]:
        """Names of the copies that are still needed."""
        return frozenset(stage for (stage,) in self._db.all("SELECT stage FROM uploads"))

    def count(self) -> int:
        """How many wait (failed ones do not)."""
        count: int = self._db.value("SELECT count(*) FROM uploads WHERE NOT done AND failed IS NULL")
        return count

    def set_file(self, chat_id: ChatId, mid: Mid, file_id: bytes | None) -> None:
        """The server's name for the ciphertext, before a byte of it leaves; None: begin anew."""
        self._change(chat_id, mid, "file_id = ?", file_id)

    def complete(self, chat_id: ChatId, mid: Mid, body: bytes) -> None:
        """The server has everything; `body` names it now."""
        self._change(chat_id, mid, "done = 1, body = ?", body)

    def fail(self, chat_id: ChatId, mid: Mid, code: str) -> None:
        """Refused for good: does not hold up the others."""
        self._change(chat_id, mid, "failed = ?", code)

    def requeue(self, chat_id: ChatId, mid: Mid) -> bool:
        """Try a failed one again, behind the others; whether there was one."""
        return (
            self._db.changed(
                "UPDATE uploads SET failed = NULL, file_id = NULL, position = (SELECT max(position) + 1 FROM uploads) "
                "WHERE chat = ? AND mid = ? AND failed IS NOT NULL",
                chat_key(self._db, chat_id),
                mid,
            )
            > 0
        )

    def remove(self, chat_id: ChatId, mid: Mid) -> bool:
        """Acked or given up; whether there was one. Its copy is swept away afterwards."""
        sql = "DELETE FROM uploads WHERE chat = ? AND mid = ?"
        return self._db.changed(sql, chat_key(self._db, chat_id), mid) > 0

    # --- what the server need not keep any more ---

    def want_gone(self, change: Mid, file_id: bytes) -> None:
        """An own delete for all is queued: the ciphertext goes too, once the delete is in the log."""
        self._db.execute("INSERT OR REPLACE INTO unwanted_files(change, file_id) VALUES(?, ?)", change, file_id)

    def delete_sent(self, change: Mid) -> bool:
        """The delete is in the log; whether a file goes with it."""
        return self._db.changed("UPDATE unwanted_files SET ready = 1 WHERE change = ?", change) > 0

    def keep(self, change: Mid) -> None:
        """The delete was refused."""
        self._db.execute("DELETE FROM unwanted_files WHERE change = ?", change)

    def unwanted(self) -> tuple[tuple[Mid, bytes], ...]:
        """(change, file) of ciphertexts that the server should delete now."""
        rows = self._db.all("SELECT change, file_id FROM unwanted_files WHERE ready LIMIT 100")
        return tuple((Mid(change), file_id) for change, file_id in rows)

    def _change(self, chat_id: ChatId, mid: Mid, what: str, *values: object) -> None:
        sql = f"UPDATE uploads SET {what} WHERE chat = ? AND mid = ?"
        if self._db.changed(sql, *values, chat_key(self._db, chat_id), mid) == 0:
            raise StoreMisuseError("no such upload")


class Attachments:
    """`tx.attachments`. They go with their message, and when it becomes something else."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def authors(self, chat_id: ChatId, mid: Mid) -> tuple[Uid, ...]:
        """Who has sent a file under this id: ids are their authors' claims, two members of a group may claim one."""
        sql = (
            "SELECT m.sender FROM attachments f JOIN messages m ON m.id = f.message JOIN chats c ON c.key = m.chat "
            "WHERE m.mid = ? AND c.chat_id = ?"
        )
        return tuple(Uid(sender) for (sender,) in self._db.all(sql, mid, chat_id))

    def body(self, chat_id: ChatId, mid: Mid, sender: Uid) -> bytes | None:
        """Encoded FileBody of a message."""
        body: bytes | None = self._db.value(
            f"SELECT body FROM attachments WHERE message = {_MESSAGE}", mid, chat_id, sender
        )
        return body

    def set_body(self, chat_id: ChatId, mid: Mid, sender: Uid, body: bytes) -> None:
        """An own file is on the server: the message names it now."""
        sql = f"UPDATE attachments SET body = ? WHERE message = {_MESSAGE}"
        self._db.execute(sql, body, mid, chat_id, sender)

    def set_saved(self, chat_id: ChatId, mid: Mid, sender: Uid, path: str) -> None:
        """Where the person has a copy in the clear."""
        sql = f"UPDATE attachments SET saved = ? WHERE message = {_MESSAGE}"
        self._db.execute(sql, path, mid, chat_id, sender)


def file_body(encoded: bytes) -> FileBody:
    """A stored body. Raises MalformedError."""
    return decode_record(FileBody, encoded, max_size=limits.MAX_DECOMPRESSED)


def attachment_of(encoded: bytes | None, saved: str | None) -> Attachment | None:
    """The file of a message as it is shown."""
    if encoded is None:
        return None
    body = file_body(encoded)
    state = AttachmentState.UPLOADING if body.blob == NOT_YET else AttachmentState.REMOTE
    return Attachment(
        name=safe_name(body.name),
        media=body.media,
        size=body.size,
        state=AttachmentState.SAVED if saved else state,
        risky=is_risky(body.name, body.media),
        width=body.width,
        height=body.height,
        blurhash=body.blurhash,
        thumb=body.thumb,
        saved_to=saved,
    )


def _upload(row: Row) -> Upload:
    chat_id, mid, stage, sealed, body, file_id, done, failed, expire_s = row
    return Upload(ChatId(chat_id), Mid(mid), stage, sealed, body, file_id, bool(done), failed, expire_s)
