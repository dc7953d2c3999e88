"""What a transaction did and what should follow once it is committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mensajeria.client.api import Event, SecurityWarning
from mensajeria.client.store import Tx
from mensajeria.protocol.ids import ChatId, Uid


@dataclass(slots=True)
class Outcome:
    """Collected inside a transaction, acted on after its commit. Of a rolled back one nothing follows."""

    events: list[Event] = field(default_factory=list)
    touched: set[ChatId] = field(default_factory=set)
    """Chats whose view changed."""
    wanted_lists: set[Uid] = field(default_factory=set)
    """Users whose newest device list is needed."""
    wanted_chains: set[ChatId] = field(default_factory=set)
    """Chats of whose membership events some are missing."""
    ask_keys: bool = False
    """The ladder of key requests has something to do."""
    sign_events: bool = False
    """Chats must be told that an own device was removed."""
    log_due: bool = False
    """The key log must be looked at."""
    after: list[Callable[[], None]] = field(default_factory=list)
    """Called in the event loop, in order: for what lives in memory only."""
    uploads: bool = False
    """There are files to upload, or encrypted copies that nobody needs any more."""
    settings: list[str] = field(default_factory=list)
    """Keys of shared settings that this device changed."""
    sessions_changed: bool = False
    """The key backup may have something to send."""
    rolled_back: bool = False
    """The log holds a message of this very device that its store knows nothing of: the store is an old copy."""
    mail: bool = False
    """There are sealed envelopes to send."""
    erase: bool = False
    """There are messages whose ciphertext the server is to erase."""
    earlier: bool = False
    """Rows from before one joined were given, and are to be fetched."""
    giving: bool = False
    """Keys are owed to members: of earlier sessions to new ones, withheld ones to who was accepted."""
    profiles: bool = False
    """Somebody's profile is to be fetched, or the own one to be published."""
    timers: bool = False
    """The clock of disappearing messages was started."""

    def warn(self, tx: Tx, code: str, now_ms: int, chat_id: ChatId | None = None, **params: str) -> None:
        """Keep a security warning and tell everybody."""
        tx.meta.warn(code, chat_id, params, now_ms)
        self.events.append(SecurityWarning(code, chat_id, params))
