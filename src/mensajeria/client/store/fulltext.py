"""The index over message texts.

A flush of the index costs more than everything else about a message (and SQLite flushes it at every savepoint), so
texts are noted in `unindexed` and taken in together at the end of the commit that stores them: never later, so that a
crash cannot part the two.

There is a prefix index for every length up to 12: a prefix without one makes FTS5 merge the whole lists of all words
that begin so, which takes half a second for a common word in 100,000 messages (5 ms with it, for half as much again to
index).
"""

from __future__ import annotations

import unicodedata
from typing import Final

from mensajeria.client.store.db import Db

MAX_QUERY_CHARS: Final = 256
MAX_QUERY_WORDS: Final = 16


def index_new(db: Db) -> None:
    """Take in what is noted as unindexed."""
    if db.one("SELECT 1 FROM unindexed LIMIT 1") is None:
        return
    db.execute(
        "INSERT INTO messages_fts(rowid, text, scope) "
        "SELECT m.id, m.text, m.scope FROM unindexed u JOIN messages m ON m.id = u.id ORDER BY m.id"
    )
    db.execute("DELETE FROM unindexed")


def forget_text(db: Db, message_id: int) -> None:
    """Take a message's text out of the index, before it is changed or deleted."""
    if db.changed("DELETE FROM unindexed WHERE id = ?", message_id) == 0:
        db.execute(
            "INSERT INTO messages_fts(messages_fts, rowid, text, scope) "
            "SELECT 'delete', id, text, scope FROM messages WHERE id = ? AND kind IN ('text', 'file')",
            message_id,
        )


def match_expression(text: str) -> str | None:
    """The FTS5 expression for what a person typed; every word is quoted. None when there is no word in it."""
    clean = text[:MAX_QUERY_CHARS].replace("\x00", " ").encode("utf-8", "ignore").decode()  # half a surrogate pair
    words = [word for word in clean.split() if _has_token(word)]
    quoted = ['"{}" *'.format(word.replace('"', '""')) for word in words[:MAX_QUERY_WORDS]]
    return f"text : ({' AND '.join(quoted)})" if quoted else None


def _has_token(word: str) -> bool:
    """Whether unicode61 finds a token in it: letters, numbers and private use (categories L*, N*, Co)."""
    return any((kind := unicodedata.category(char))[0] in "LN" or kind == "Co" for char in word)
