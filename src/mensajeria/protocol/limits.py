"""Every number of the protocol, once. Sizes in bytes, times as their names say."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1

# Frames and connections
MAX_FRAME: Final = 1 << 20
MAX_AUTH_FRAME: Final = 256 << 10
HELLO_TIMEOUT_S: Final = 10
PING_EVERY_S: Final = 25
PONG_TIMEOUT_S: Final = 20
MAX_CONNECTION_AGE_S: Final = 24 * 3600
OUTBOUND_QUEUE_BYTES: Final = 4 << 20
"""Above this a slow reader is closed with its own code and catches up later."""
MAX_BATCH_ITEMS: Final = 4096
MAX_SYNC_HEADS: Final = 1000
MAX_FETCH_EVENTS: Final = 500
MAX_MAIL_PAGE: Final = 200
MAX_PUT_TARGETS: Final = 64

# Names, passwords, texts
HANDLE_PATTERN: Final = r"^[a-z0-9_.]{3,32}$"
"""For schemas, and where `fullmatch` or another engine than Python's applies it."""
HANDLE_EXACT: Final = r"^[a-z0-9_.]{3,32}\Z"
"""For `msgspec`, which searches with Python's engine: `$` would let a line feed pass at the end."""
TEXT_PATTERN: Final = r"^[^\x00]*$"
"""What a text may be that a server stores: PostgreSQL cannot keep a NUL."""
PASSWORD_MIN_CHARS: Final = 10
PASSWORD_MAX_CHARS: Final = 256
DEVICE_NAME_MAX_CHARS: Final = 64
TEXT_MAX_BYTES: Final = 64 << 10
INVITE_TOKEN_BYTES: Final = 16

# Messages
MESSAGE_BUCKET: Final = 64
PADME_FROM: Final = 1024
MAX_CIPHERTEXT: Final = 256 << 10
TODEVICE_BUCKETS: Final = (1024, 4096, 16384)
MAX_ENVELOPE: Final = 24 << 10
MAX_DECOMPRESSED: Final = 1 << 20
EMOJI_MAX_BYTES: Final = 64
MAX_TIMER_S: Final = 366 * 24 * 3600
"""The longest timer of disappearing messages."""
TIMER_DELIVERY_S: Final = 14 * 24 * 3600
"""How long the server keeps a message with a timer at least, so that it can be fetched and read."""
MAX_WAITING_CHANGES: Final = 1000
"""Edits, reactions and deletes of one chat whose message is not there (yet); beyond, the oldest is dropped."""
MAX_WAITING_CHANGES_PER_MEMBER: Final = 200
MAX_VERSIONS: Final = 100
"""Edits of one message that are kept."""
CLOCK_TOLERANCE_MS: Final = 24 * 3600 * 1000

# Keys
OTK_TARGET: Final = 50
OTK_REFILL_BELOW: Final = 25
OTK_UPLOAD_MAX: Final = 100
CLAIMS_PER_HOUR_PER_PAIR: Final = 10
CLAIMS_PER_HOUR_PER_TARGET: Final = 300
CLAIM_BATCH_MAX: Final = 64
PQ_PREKEY_ROTATE_MS: Final = 7 * 24 * 3600 * 1000
PQ_PREKEY_VALID_MS: Final = 30 * 24 * 3600 * 1000
FALLBACK_ROTATE_MS: Final = 7 * 24 * 3600 * 1000
MAX_DEVICES: Final = 32
MAX_FORMER_DEVICES: Final = 128
MAX_LIST_BYTES: Final = 32 << 10
RESET_TOKEN_BYTES: Final = 16
SUCCESSIONS_PAGE: Final = 8
LISTS_BROUGHT_BACK_MAX: Final = 63
"""Versions between, after a restore."""
MAX_LIST_VERSIONS_PER_DAY: Final = 10
MAX_SIGNED_BODY: Final = 64 << 10
OLM_SESSIONS_PER_PEER: Final = 4
OLM_ACK_AFTER: Final = 4
UNWEDGE_EVERY_MS: Final = 10 * 60 * 1000
SHARE_CHUNK: Final = 64

# Sender sessions: (devices up to, messages, milliseconds) before a new one
SESSION_DIRECT: Final = (50, 8 * 3600 * 1000)
SESSION_SMALL: Final = (100, 24 * 3600 * 1000)
SESSION_LARGE: Final = (1000, 7 * 24 * 3600 * 1000)
SESSION_SMALL_DEVICES: Final = 64

# Mailbox
MAILBOX_PER_DAY: Final = 2000
"""Envelopes a day for each (sending user, receiving device)."""
MAILBOX_BYTES: Final = 64 << 20
MAILBOX_DAYS: Final = 30
SEEN_ENVELOPES_DAYS: Final = 60
PARKED_MAX: Final = 1000
PARKED_DAYS: Final = 7

# Membership
MAX_EVENT_MEMBERS: Final = 256
MAX_GROUP_MEMBERS: Final = 1024
GROUP_NAME_CHARS: Final = 64
GROUP_DESCRIPTION_CHARS: Final = 512
GROUP_PICTURE_BYTES: Final = 8 << 10
READ_RECEIPTS_MEMBERS: Final = 32
"""In groups above this nobody is told who has read what."""

# Profiles
PROFILE_NAME_CHARS: Final = 64
PROFILE_STATUS_CHARS: Final = 140
PROFILE_PICTURE_BYTES: Final = 32 << 10
PROFILE_SEALED_MAX: Final = 40 << 10
"""Salt, tag and the padded record with the largest picture."""

# Tokens
ACCESS_TOKEN_S: Final = 600
REFRESH_TOKEN_S: Final = 30 * 24 * 3600
REFRESH_RETRY_S: Final = 15
TICKET_S: Final = 600
YOUNG_DEVICE_MS: Final = 24 * 3600 * 1000
"""A younger device needs the recovery code to remove older ones, change the password or delete the account."""

# Invites by members
INVITE_USES_MAX: Final = 100
INVITE_DAYS_MAX: Final = 30
INVITES_OPEN_MAX: Final = 20
"""Usable invites of one account at a time."""

# Requests
PENDING_PER_SENDER_DAY: Final = 10
PENDING_PER_ACCOUNT: Final = 100

# Erasing, blocks and reports
MAX_ERASE_ITEMS: Final = 100
MAX_BLOCKS: Final = 1000
UNREADABLE_MAX: Final = 1000
"""Messages of one cause in one report of unreadable ones: one client cannot say much."""
REPORT_MAX_CHARS: Final = 4000
TTL_BUCKETS: Final = 20
"""Timers up to 2^19 hours; a larger bucket means keep."""

# Files
FILE_CHUNK_MIN: Final = 256 << 10
"""Bytes of an upload step, except the last one: bounds the number of parts."""
FILE_CHUNK_MAX: Final = 8 << 20
FILE_UNFINISHED_MS: Final = 24 * 3600 * 1000
FILE_CHUNK: Final = 64 << 10
"""Plaintext bytes under one tag."""
FILE_PAD_FROM: Final = 4 << 10
"""A smaller file is padded to this, a larger one to its Padmé size."""
FILE_MAX_BYTES: Final = 1 << 44
"""Far above what any server takes; far below what the counter of chunks can number."""
FILE_NAME_MAX_BYTES: Final = 255
FILE_THUMB_MAX_BYTES: Final = 16 << 10
IMAGE_MAX_SIDE: Final = 65_535

# Key backup
BACKUP_BLOB_MAX: Final = 4096
BACKUP_BATCH_MAX: Final = 200
BACKUP_QUERY_MAX: Final = 1000
"""Rows asked for at once: their answer stays below what a client reads."""
BACKUP_BYTES: Final = 128 << 20
"""Of one account: about 150,000 sessions."""

# Key log
LOG_LEAVES_PAGE: Final = 1000
