"""Version 2 of the tables, one part for each subject."""

from __future__ import annotations

from typing import Final

# Not released yet: each subject's tables stand in a constant of their own, in this order.
# In a table WITHOUT ROWID a row of more than about 980 bytes overflows, and every comparison on the way to any other
# row reads and copies the overflow: a search costs 60 us instead of 10. Large values lie in tables with row numbers.
_LARGE_ROWS: Final = """
CREATE TABLE meta_2(name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL);
INSERT INTO meta_2 SELECT name, value FROM meta;
DROP TABLE meta;
ALTER TABLE meta_2 RENAME TO meta;
CREATE TABLE own_keys_2(name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL);
INSERT INTO own_keys_2 SELECT name, value FROM own_keys;
DROP TABLE own_keys;
ALTER TABLE own_keys_2 RENAME TO own_keys;
CREATE TABLE contacts_2(
  uid BLOB NOT NULL PRIMARY KEY, handle TEXT NOT NULL, identity BLOB NOT NULL, idfp BLOB NOT NULL,
  list_ver INTEGER NOT NULL, list_hash BLOB NOT NULL, list_body BLOB NOT NULL, list_sig BLOB NOT NULL,
  announced_ver INTEGER NOT NULL DEFAULT 0, trust TEXT NOT NULL, sending_blocked INTEGER NOT NULL DEFAULT 0,
  former_idfp BLOB, updated_ms INTEGER NOT NULL);
INSERT INTO contacts_2 SELECT * FROM contacts;
DROP TABLE contacts;
ALTER TABLE contacts_2 RENAME TO contacts;
CREATE INDEX contacts_handle ON contacts(handle, updated_ms);
CREATE INDEX contacts_stale ON contacts(uid) WHERE announced_ver > list_ver;
CREATE TABLE olm_peers_2(
  did BLOB NOT NULL PRIMARY KEY, uid BLOB NOT NULL, state BLOB NOT NULL, unwedged_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO olm_peers_2 SELECT * FROM olm_peers;
DROP TABLE olm_peers;
ALTER TABLE olm_peers_2 RENAME TO olm_peers;
CREATE TABLE megolm_inbound_2(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  state BLOB NOT NULL, next_idx INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  PRIMARY KEY(session_id, chat, uid, did));
INSERT INTO megolm_inbound_2 SELECT * FROM megolm_inbound;
DROP TABLE megolm_inbound;
ALTER TABLE megolm_inbound_2 RENAME TO megolm_inbound;
"""
_GROUPS: Final = """
CREATE TABLE groups(
  chat INTEGER PRIMARY KEY REFERENCES chats, role TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
  description TEXT NOT NULL DEFAULT '', profile_ver INTEGER NOT NULL DEFAULT 0, halted TEXT NOT NULL DEFAULT '',
  leaving INTEGER NOT NULL DEFAULT 0, supersedes BLOB, superseded_by BLOB, joined_seq INTEGER NOT NULL DEFAULT 0);
CREATE TABLE group_members(
  chat INTEGER NOT NULL REFERENCES chats, uid BLOB NOT NULL, role TEXT NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(chat, uid)) WITHOUT ROWID;
CREATE INDEX group_members_uid ON group_members(uid);
CREATE TABLE group_keys(
  chat INTEGER NOT NULL REFERENCES chats, key BLOB NOT NULL, position INTEGER NOT NULL, own INTEGER NOT NULL,
  PRIMARY KEY(chat, key)) WITHOUT ROWID;
CREATE TABLE early_keys(
  id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  content BLOB NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX early_keys_chat ON early_keys(chat_id);
CREATE TABLE forks(
  id INTEGER PRIMARY KEY, chat INTEGER NOT NULL REFERENCES chats, first BLOB NOT NULL, second BLOB NOT NULL,
  at_ms INTEGER NOT NULL);
"""
_KINDS: Final = """
ALTER TABLE messages ADD COLUMN session_id BLOB;
ALTER TABLE messages ADD COLUMN idx INTEGER;
ALTER TABLE messages ADD COLUMN original TEXT;
ALTER TABLE messages ADD COLUMN edited_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN deleted_by BLOB;
ALTER TABLE messages ADD COLUMN former_kind TEXT;
ALTER TABLE messages ADD COLUMN reacted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN reply_uid BLOB;
ALTER TABLE messages ADD COLUMN reply_mid BLOB;
ALTER TABLE messages ADD COLUMN expire_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN expires_ms INTEGER;
CREATE INDEX messages_reply ON messages(reply_mid) WHERE reply_mid IS NOT NULL;
CREATE INDEX messages_timer ON messages(chat) WHERE expire_s > 0 AND expires_ms IS NULL;
CREATE INDEX messages_expiry ON messages(expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE changes(
  id INTEGER PRIMARY KEY, chat INTEGER NOT NULL REFERENCES chats, mid BLOB NOT NULL, sender BLOB NOT NULL,
  kind TEXT NOT NULL, target_uid BLOB NOT NULL, target_mid BLOB NOT NULL, seq INTEGER, at_ms INTEGER NOT NULL,
  value TEXT NOT NULL, waiting INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX changes_mid ON changes(mid, sender, chat);
CREATE INDEX changes_target ON changes(target_mid, target_uid, chat);
CREATE INDEX changes_waiting ON changes(chat, sender) WHERE waiting;
CREATE TABLE reactions(
  message INTEGER NOT NULL, uid BLOB NOT NULL, emoji TEXT NOT NULL, PRIMARY KEY(message, uid)) WITHOUT ROWID;
CREATE TABLE tombstones(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, idx INTEGER NOT NULL, seq INTEGER NOT NULL,
  server_ms INTEGER NOT NULL, ord INTEGER, PRIMARY KEY(session_id, idx, chat)) WITHOUT ROWID;
CREATE TABLE erasures(
  chat INTEGER NOT NULL REFERENCES chats, mid BLOB NOT NULL, own INTEGER NOT NULL, carrier BLOB,
  PRIMARY KEY(chat, mid)) WITHOUT ROWID;
CREATE TABLE timers(
  chat INTEGER PRIMARY KEY REFERENCES chats, seconds INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0,
  queued_s INTEGER, queued_mid BLOB);
CREATE TABLE timer_sessions(session_id BLOB PRIMARY KEY) WITHOUT ROWID;
ALTER TABLE outbox ADD COLUMN refs BLOB;
ALTER TABLE outbox ADD COLUMN expire_s INTEGER NOT NULL DEFAULT 0;
"""
_BACKUP: Final = """
CREATE TABLE backup_pending(
  session_id BLOB NOT NULL, chat INTEGER NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  PRIMARY KEY(session_id, chat, uid, did)) WITHOUT ROWID;
CREATE TRIGGER backup_used AFTER INSERT ON seen_indices
WHEN NOT EXISTS (SELECT 1 FROM seen_indices WHERE session_id = new.session_id AND idx != new.idx) BEGIN
  INSERT OR IGNORE INTO backup_pending
    SELECT session_id, chat, uid, did FROM megolm_inbound WHERE session_id = new.session_id;
END;
INSERT INTO backup_pending SELECT session_id, chat, uid, did FROM megolm_inbound;
CREATE TABLE backup_known(
  n INTEGER NOT NULL, row_id BLOB NOT NULL, counter INTEGER NOT NULL, PRIMARY KEY(n, row_id)) WITHOUT ROWID;
CREATE TABLE backup_index(
  n INTEGER NOT NULL, position INTEGER NOT NULL, kind INTEGER NOT NULL, row_id BLOB NOT NULL, counter INTEGER NOT NULL,
  confirmed INTEGER NOT NULL DEFAULT 0, chat INTEGER, session_id BLOB, uid BLOB, did BLOB,
  PRIMARY KEY(n, position)) WITHOUT ROWID;
CREATE INDEX backup_index_row ON backup_index(n, row_id);
CREATE INDEX backup_index_open ON backup_index(n) WHERE NOT confirmed;
CREATE TABLE settings(
  key TEXT PRIMARY KEY, value BLOB NOT NULL, counter INTEGER NOT NULL, did BLOB NOT NULL,
  saved_n INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
"""
_HEALING: Final = """
CREATE TABLE key_sources(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, did BLOB NOT NULL, at_ms INTEGER NOT NULL,
  answer TEXT, PRIMARY KEY(chat, session_id, did)) WITHOUT ROWID;
CREATE TABLE pending_events(
  chat INTEGER PRIMARY KEY REFERENCES chats, dl_ver INTEGER NOT NULL, tries INTEGER NOT NULL, next_ms INTEGER NOT NULL);
CREATE INDEX pending_events_due ON pending_events(next_ms);
"""
_TRUST: Final = """
CREATE TABLE verified(
  uid BLOB NOT NULL, idfp BLOB NOT NULL, method TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY(uid, idfp)) WITHOUT ROWID;
CREATE TABLE verify_requests(
  vid BLOB PRIMARY KEY, uid BLOB NOT NULL, did BLOB NOT NULL, idfp BLOB NOT NULL, at_ms INTEGER NOT NULL,
  open INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE security_events(
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, uid BLOB, chat_id BLOB, params TEXT NOT NULL);
CREATE INDEX security_events_uid ON security_events(uid) WHERE uid IS NOT NULL;
CREATE INDEX security_events_chat ON security_events(chat_id) WHERE chat_id IS NOT NULL;
CREATE TABLE issued_invites(
  id BLOB PRIMARY KEY, secret BLOB NOT NULL, uses_left INTEGER NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inviters(
  uid BLOB PRIMARY KEY, idfp BLOB NOT NULL, invite BLOB NOT NULL, secret BLOB NOT NULL, open INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE welcomes(chat_id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_KEY_LOG: Final = """
CREATE TABLE key_log(
  idx INTEGER PRIMARY KEY, label BLOB NOT NULL, ver INTEGER NOT NULL, value_hash BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX key_log_label ON key_log(label, idx);
CREATE TABLE key_log_blocks(block INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE key_log_heads(
  epoch INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL, sig BLOB NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY(epoch, size)) WITHOUT ROWID;
CREATE TABLE key_log_claims(
  did BLOB PRIMARY KEY, uid BLOB NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, asked_ms INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE key_log_evidence(
  code TEXT NOT NULL, body BLOB NOT NULL, sig BLOB NOT NULL, other_body BLOB NOT NULL, other_sig BLOB NOT NULL,
  at_ms INTEGER NOT NULL, PRIMARY KEY(code, body, other_body)) WITHOUT ROWID;
"""
_FILES: Final = """
CREATE TABLE attachments(message INTEGER PRIMARY KEY REFERENCES messages, body BLOB NOT NULL, saved TEXT);
CREATE TRIGGER attachments_gone AFTER DELETE ON messages BEGIN
  DELETE FROM attachments WHERE message = old.id;
END;
CREATE TRIGGER attachments_replaced AFTER UPDATE OF kind ON messages
  WHEN new.kind <> 'file' AND new.former_kind IS NULL BEGIN
  DELETE FROM attachments WHERE message = old.id;
END;
CREATE TRIGGER uploads_gone AFTER DELETE ON messages WHEN old.outgoing BEGIN
  DELETE FROM uploads WHERE chat = old.chat AND mid = old.mid AND NOT done;
END;
CREATE TRIGGER uploads_replaced AFTER UPDATE OF kind ON messages
  WHEN old.outgoing AND new.kind <> 'file' AND new.former_kind IS NULL BEGIN
  DELETE FROM uploads WHERE chat = old.chat AND mid = old.mid AND NOT done;
END;
CREATE TABLE uploads(
  position INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL REFERENCES chats, mid BLOB NOT NULL,
  stage TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL, body BLOB NOT NULL, file_id BLOB,
  done INTEGER NOT NULL DEFAULT 0, failed TEXT, expire_s INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX uploads_mid ON uploads(chat, mid);
CREATE TABLE unwanted_files(
  change BLOB PRIMARY KEY, file_id BLOB NOT NULL, ready INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""

_HISTORY: Final = """
CREATE TABLE history_grants(
  id INTEGER PRIMARY KEY, chat INTEGER NOT NULL REFERENCES chats, uids BLOB NOT NULL, choice TEXT NOT NULL,
  after_seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, carrier BLOB, told INTEGER NOT NULL DEFAULT 0);
CREATE TABLE history_grantees(
  grant_id INTEGER NOT NULL REFERENCES history_grants, uid BLOB NOT NULL, joined INTEGER NOT NULL,
  pushed INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(grant_id, uid)) WITHOUT ROWID;
CREATE TABLE history_shares(
  position INTEGER PRIMARY KEY AUTOINCREMENT, grant_id INTEGER NOT NULL REFERENCES history_grants,
  session_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL, idx INTEGER NOT NULL);
CREATE INDEX history_shares_session ON history_shares(session_id);
CREATE INDEX history_shares_grant ON history_shares(grant_id, position);
CREATE TABLE history_windows(
  chat INTEGER NOT NULL REFERENCES chats, uid BLOB NOT NULL, did BLOB NOT NULL, since INTEGER NOT NULL,
  upto INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(chat, uid, did, upto)) WITHOUT ROWID;
CREATE TABLE history_early(
  id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  content BLOB NOT NULL);
ALTER TABLE groups ADD COLUMN skipped_from INTEGER NOT NULL DEFAULT 0;
"""

_FORMER: Final = """
CREATE TABLE former_people(
  uid BLOB NOT NULL PRIMARY KEY, gone INTEGER NOT NULL, asked_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""

_PROFILES: Final = """
CREATE TABLE user_profiles(
  uid BLOB NOT NULL PRIMARY KEY, ver INTEGER NOT NULL, key BLOB NOT NULL, hash BLOB NOT NULL, at_ms INTEGER NOT NULL,
  refused INTEGER NOT NULL DEFAULT 0, accused INTEGER NOT NULL DEFAULT 0, shown_ver INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT '', picture BLOB NOT NULL DEFAULT x'', sealed BLOB);
CREATE INDEX user_profiles_wanted ON user_profiles(uid) WHERE ver > shown_ver AND NOT refused;
CREATE TABLE profile_wish(
  id INTEGER PRIMARY KEY CHECK(id = 0), number INTEGER NOT NULL, name TEXT, status TEXT, picture BLOB);
CREATE TABLE profile_told(did BLOB PRIMARY KEY, ver INTEGER NOT NULL) WITHOUT ROWID;
ALTER TABLE groups ADD COLUMN picture BLOB NOT NULL DEFAULT x'';
"""

_RESENDS: Final = """
CREATE TABLE sent_rows(
  position INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL,
  idx INTEGER NOT NULL, mid BLOB NOT NULL, placed INTEGER NOT NULL, outer BLOB NOT NULL, at_ms INTEGER NOT NULL);
CREATE UNIQUE INDEX sent_rows_index ON sent_rows(session_id, idx, chat);
CREATE TABLE holes(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, idx INTEGER NOT NULL, uid BLOB NOT NULL,
  did BLOB NOT NULL, ord INTEGER NOT NULL, seq INTEGER NOT NULL, server_ms INTEGER NOT NULL,
  step INTEGER NOT NULL, next_ms INTEGER NOT NULL, PRIMARY KEY(chat, session_id, idx)) WITHOUT ROWID;
CREATE INDEX holes_due ON holes(next_ms);
"""

_PARTS: Final = (
    _LARGE_ROWS, _GROUPS, _KINDS, _BACKUP, _HEALING, _TRUST, _KEY_LOG, _FILES, _HISTORY, _FORMER, _PROFILES,
    _RESENDS,
)  # fmt: skip
V2: Final = "\n".join(_PARTS)
