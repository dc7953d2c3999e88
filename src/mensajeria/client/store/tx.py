"""One transaction of the store: everything that is read and written in it belongs together."""

from __future__ import annotations

from mensajeria.client.store.backup import Backups, SettingsTable
from mensajeria.client.store.changes import Changes
from mensajeria.client.store.chats import Chats
from mensajeria.client.store.contacts import Contacts
from mensajeria.client.store.db import Db
from mensajeria.client.store.erasures import Erasures
from mensajeria.client.store.files import Attachments, Uploads
from mensajeria.client.store.groups import Groups
from mensajeria.client.store.healing import HealthFacts, KeySources, PendingEvents
from mensajeria.client.store.history import HistoryGrants, HistoryWindows
from mensajeria.client.store.keylog import KeyLogMirror
from mensajeria.client.store.megolm import Inbounds, Outbounds, Replays
from mensajeria.client.store.messages import Messages
from mensajeria.client.store.meta import Meta
from mensajeria.client.store.outbox import Outbox
from mensajeria.client.store.own_keys import OwnKeys
from mensajeria.client.store.own_messages import OwnMessages
from mensajeria.client.store.profiles import Profiles
from mensajeria.client.store.resends import Holes, SentRows
from mensajeria.client.store.restores import Restores
from mensajeria.client.store.rows import Rows
from mensajeria.client.store.timers import Timers
from mensajeria.client.store.todevice import Envelopes, KeyRequests, OlmPeers
from mensajeria.client.store.trust import Trusts
from mensajeria.client.store.views import Views


class Tx:
    """What a function given to `Store.run` works with; unusable after it has returned."""

    __slots__ = (
        "attachments", "backup", "changes", "chats", "contacts", "envelopes", "erasures", "grants", "groups", "health",
        "holes", "inbound", "key_log", "messages", "meta", "olm", "outbound", "outbox", "own", "own_messages",
        "pending_events", "profiles", "replays", "requests", "restores", "rows", "sent_rows", "settings", "sources",
        "timers", "trust", "uploads", "views", "windows",
    )  # fmt: skip

    def __init__(self, db: Db) -> None:
        self.meta = Meta(db)
        self.own = OwnKeys(db)
        self.contacts = Contacts(db)
        self.chats = Chats(db)
        self.groups = Groups(db)
        self.rows = Rows(db)
        self.sent_rows = SentRows(db)
        self.holes = Holes(db)
        self.restores = Restores(db)
        self.messages = Messages(db)
        self.own_messages = OwnMessages(db)
        self.views = Views(db)
        self.outbox = Outbox(db)
        self.outbound = Outbounds(db)
        self.inbound = Inbounds(db)
        self.replays = Replays(db)
        self.olm = OlmPeers(db)
        self.envelopes = Envelopes(db)
        self.requests = KeyRequests(db)
        self.sources = KeySources(db)
        self.pending_events = PendingEvents(db)
        self.health = HealthFacts(db)
        self.changes = Changes(db)
        self.timers = Timers(db)
        self.erasures = Erasures(db)
        self.trust = Trusts(db)
        self.attachments = Attachments(db)
        self.uploads = Uploads(db)
        self.key_log = KeyLogMirror(db)
        self.backup = Backups(db)
        self.settings = SettingsTable(db)
        self.grants = HistoryGrants(db)
        self.windows = HistoryWindows(db)
        self.profiles = Profiles(db)
