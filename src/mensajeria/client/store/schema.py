"""The tables, version by version. `PRAGMA user_version` says which one a file has.

Conventions: `chat` is the integer key of `chats`; uid, did, mid, session ids and hashes are BLOBs as on the wire; times
are milliseconds since the Unix epoch. A version is never edited once released: a change is a new entry of `MIGRATIONS`.
"""

from __future__ import annotations

from typing import Final

from mensajeria.client.store.schema_v2 import V2

APPLICATION_ID: Final = 0x4D534A41
"""PRAGMA application_id: "MSJA"."""

_V1: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE contacts(
  uid BLOB PRIMARY KEY, handle TEXT NOT NULL, identity BLOB NOT NULL, idfp BLOB NOT NULL,
  list_ver INTEGER NOT NULL, list_hash BLOB NOT NULL, list_body BLOB NOT NULL, list_sig BLOB NOT NULL,
  announced_ver INTEGER NOT NULL DEFAULT 0, trust TEXT NOT NULL, sending_blocked INTEGER NOT NULL DEFAULT 0,
  former_idfp BLOB, updated_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX contacts_handle ON contacts(handle, updated_ms);
CREATE INDEX contacts_stale ON contacts(uid) WHERE announced_ver > list_ver;
CREATE TABLE former_lists(
  uid BLOB NOT NULL, ver INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(uid, ver)) WITHOUT ROWID;

CREATE TABLE own_keys(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE chats(
  key INTEGER PRIMARY KEY, chat_id BLOB NOT NULL UNIQUE, peer BLOB NOT NULL, note_to_self INTEGER NOT NULL,
  accepted INTEGER NOT NULL, declined INTEGER NOT NULL DEFAULT 0,
  cursor INTEGER NOT NULL DEFAULT 0, cursor_sent INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0, member_seq INTEGER NOT NULL DEFAULT 0, mhead BLOB, membership BLOB,
  prev_session BLOB, prev_idx INTEGER,
  peer_delivered INTEGER NOT NULL DEFAULT 0, peer_read INTEGER NOT NULL DEFAULT 0,
  read_seq INTEGER NOT NULL DEFAULT 0, read_sent INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0,
  identity_changed INTEGER NOT NULL DEFAULT 0, draft TEXT NOT NULL DEFAULT '', activity_ms INTEGER NOT NULL);
CREATE INDEX chats_peer ON chats(peer);
CREATE INDEX chats_cursor ON chats(key) WHERE cursor > cursor_sent AND accepted;
CREATE INDEX chats_read ON chats(key) WHERE read_seq > read_sent AND accepted;
CREATE TABLE member_events(
  chat INTEGER NOT NULL REFERENCES chats, seq INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
  sig BLOB NOT NULL, chat_seq INTEGER NOT NULL, PRIMARY KEY(chat, seq)) WITHOUT ROWID;

CREATE TABLE rows(
  chat INTEGER NOT NULL REFERENCES chats, seq INTEGER NOT NULL, kind INTEGER NOT NULL, server_ms INTEGER NOT NULL,
  body BLOB NOT NULL, session_id BLOB, outcome TEXT NOT NULL, PRIMARY KEY(chat, seq)) WITHOUT ROWID;
CREATE INDEX rows_session ON rows(session_id) WHERE session_id IS NOT NULL;
CREATE INDEX rows_outcome ON rows(outcome);

CREATE TABLE messages(
  id INTEGER PRIMARY KEY, chat INTEGER NOT NULL REFERENCES chats, ord INTEGER NOT NULL, seq INTEGER, mid BLOB NOT NULL,
  sender BLOB NOT NULL, outgoing INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL,
  sent_ms INTEGER NOT NULL, server_ms INTEGER NOT NULL, counted INTEGER NOT NULL, clock_off INTEGER NOT NULL,
  cause TEXT, params TEXT, error TEXT, inner BLOB,
  scope TEXT GENERATED ALWAYS AS ('c' || chat) VIRTUAL);
CREATE UNIQUE INDEX messages_order ON messages(chat, ord);
CREATE INDEX messages_mid ON messages(mid);
CREATE INDEX messages_own ON messages(chat, state, seq) WHERE outgoing AND state IN ('sent', 'delivered');
CREATE INDEX messages_unknown ON messages(id) WHERE kind = 'unknown';
CREATE TABLE seen_mids(
  chat INTEGER NOT NULL, mid BLOB NOT NULL, uid BLOB NOT NULL, ct_hash BLOB NOT NULL,
  PRIMARY KEY(chat, mid, uid)) WITHOUT ROWID;

CREATE VIRTUAL TABLE messages_fts USING fts5(
  text, scope, content='messages', content_rowid='id', tokenize='unicode61 remove_diacritics 2',
  prefix='1 2 3 4 5 6 7 8 9 10 11 12');
INSERT INTO messages_fts(messages_fts, rank) VALUES('secure-delete', 1);
CREATE TABLE unindexed(id INTEGER PRIMARY KEY);

CREATE TABLE outbox(
  position INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL REFERENCES chats, mid BLOB NOT NULL,
  type TEXT NOT NULL, body BLOB NOT NULL, created_ms INTEGER NOT NULL, outer BLOB, session_id BLOB, idx INTEGER,
  epoch INTEGER, tries INTEGER NOT NULL DEFAULT 0, failed TEXT);
CREATE UNIQUE INDEX outbox_mid ON outbox(chat, mid);
CREATE INDEX outbox_pending ON outbox(chat, position) WHERE failed IS NULL;

CREATE TABLE megolm_outbound(
  chat INTEGER PRIMARY KEY REFERENCES chats, session_id BLOB NOT NULL UNIQUE, state BLOB NOT NULL, skb BLOB NOT NULL,
  created_ms INTEGER NOT NULL, messages INTEGER NOT NULL, epoch INTEGER NOT NULL, fetched INTEGER NOT NULL);
CREATE TABLE shares(
  session_id BLOB NOT NULL, did BLOB NOT NULL, uid BLOB NOT NULL, idx INTEGER NOT NULL, outcome TEXT NOT NULL,
  at_ms INTEGER NOT NULL, PRIMARY KEY(session_id, did)) WITHOUT ROWID;
CREATE TABLE own_voids(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, idx INTEGER NOT NULL, carrier BLOB,
  PRIMARY KEY(chat, session_id, idx)) WITHOUT ROWID;

CREATE TABLE megolm_inbound(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  state BLOB NOT NULL, next_idx INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
  PRIMARY KEY(session_id, chat, uid, did)) WITHOUT ROWID;
CREATE INDEX megolm_inbound_chat ON megolm_inbound(chat);
CREATE TABLE seen_indices(
  session_id BLOB NOT NULL, idx INTEGER NOT NULL, ct_hash BLOB, PRIMARY KEY(session_id, idx)) WITHOUT ROWID;

CREATE TABLE olm_peers(
  did BLOB PRIMARY KEY, uid BLOB NOT NULL, state BLOB NOT NULL, unwedged_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

CREATE TABLE seen_envelopes(hash BLOB PRIMARY KEY, outcome TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_envelopes_age ON seen_envelopes(at_ms);
CREATE TABLE seen_device_mids(
  uid BLOB NOT NULL, did BLOB NOT NULL, mid BLOB NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY(mid, uid, did)) WITHOUT ROWID;
CREATE INDEX seen_device_mids_age ON seen_device_mids(at_ms);
CREATE TABLE parked(
  hash BLOB PRIMARY KEY, uid BLOB NOT NULL, outer BLOB NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX parked_uid ON parked(uid, at_ms);
CREATE TABLE device_outbox(
  id INTEGER PRIMARY KEY AUTOINCREMENT, uid BLOB NOT NULL, did BLOB NOT NULL, prekey_id INTEGER NOT NULL,
  blob BLOB NOT NULL, type TEXT NOT NULL, session_id BLOB, created_ms INTEGER NOT NULL);
CREATE INDEX device_outbox_did ON device_outbox(did);
CREATE INDEX device_outbox_session ON device_outbox(session_id) WHERE session_id IS NOT NULL;

CREATE TABLE key_requests(
  chat INTEGER NOT NULL REFERENCES chats, session_id BLOB NOT NULL, uid BLOB NOT NULL, did BLOB NOT NULL,
  idx INTEGER NOT NULL, step INTEGER NOT NULL, first_ms INTEGER NOT NULL, next_ms INTEGER NOT NULL,
  PRIMARY KEY(chat, session_id, uid, did)) WITHOUT ROWID;
CREATE INDEX key_requests_due ON key_requests(next_ms);
CREATE TABLE key_answers(id INTEGER PRIMARY KEY, did BLOB NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX key_answers_did ON key_answers(did, at_ms);

CREATE TABLE warnings(
  id INTEGER PRIMARY KEY, code TEXT NOT NULL, chat_id BLOB, params TEXT NOT NULL, at_ms INTEGER NOT NULL);
"""

MIGRATIONS: Final = (_V1, V2)
"""`MIGRATIONS[n]` brings a file from version n to n + 1."""

VERSION: Final = len(MIGRATIONS)
