"""Version 2 of the tables, one part for each subject."""

from __future__ import annotations

from typing import Final

# Not released yet: each subject's tables stand in a constant of their own, in this order.
_GROUPS: Final = ""
_KINDS: Final = ""
_BACKUP: Final = ""
_HEALING: Final = """
CREATE TABLE key_sources(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, did BLOB NOT NULL, at_ms INTEGER NOT NULL,
  answer TEXT, PRIMARY KEY(chat, session_id, did)) WITHOUT ROWID;
CREATE TABLE pending_events(
  chat INTEGER PRIMARY KEY REFERENCES chats, dl_ver INTEGER NOT NULL, tries INTEGER NOT NULL, next_ms INTEGER NOT NULL);
CREATE INDEX pending_events_due ON pending_events(next_ms);
"""
_TRUST: Final = ""
_KEY_LOG: Final = ""
_FILES: Final = ""

_PARTS: Final = (_GROUPS, _KINDS, _BACKUP, _HEALING, _TRUST, _KEY_LOG, _FILES)
V2: Final = "\n".join(_PARTS)
