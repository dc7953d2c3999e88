"""What the running parts share, and the one way in which they change the store and tell about it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mensajeria.client.api import ChatChanged, Event
from mensajeria.client.engine.emitter import Emitter
from mensajeria.client.engine.envelopes import EnvelopeReader, Mail
from mensajeria.client.engine.given_keys import GivenKeys
from mensajeria.client.engine.giving import Giver
from mensajeria.client.engine.group_profiles import GroupProfiles
from mensajeria.client.engine.healing import Healer, KeyBackup
from mensajeria.client.engine.hiding import shown_event, shown_view
from mensajeria.client.engine.letters import PostOffice
from mensajeria.client.engine.marks import Marks
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.presence import Presence
from mensajeria.client.engine.resending import Resender
from mensajeria.client.engine.rows import RowReader
from mensajeria.client.engine.sealing import Sealer
from mensajeria.client.engine.shared_settings import SettingsBook
from mensajeria.client.engine.timers import begin_timers
from mensajeria.client.errors import SecurityError
from mensajeria.client.profiles import mark_rolled_back
from mensajeria.client.store import Store, Tx
from mensajeria.client.transport.rest.api import RestApi
from mensajeria.client.vault import Vault
from mensajeria.protocol.ids import ChatId

if TYPE_CHECKING:  # its library is loaded when the network is first used
    from mensajeria.protocol.api import DeviceInfo

T = TypeVar("T")
O = TypeVar("O", bound=Outcome)  # noqa: E741 - a type variable
SLICE_PAUSE_S: Final = 0.0005
"""Between slices of work. A sleep of zero never lets another thread have the interpreter."""


@dataclass(slots=True)
class Context:
    """Everything that is needed to do something for this account."""

    me: Me
    store: Store
    rest: RestApi
    emitter: Emitter
    vault: Vault
    folder: Path
    """The profile's."""
    memberships: Memberships = field(init=False)
    rows: RowReader = field(init=False)
    envelopes: EnvelopeReader = field(init=False)
    profiles: GroupProfiles = field(init=False)
    post: PostOffice = field(init=False)
    sealer: Sealer = field(init=False)
    healer: Healer = field(init=False)
    resender: Resender = field(init=False)
    giver: Giver = field(init=False)
    given_keys: GivenKeys = field(init=False)
    backup: KeyBackup | None = None
    """The first source of the ladder, when the account keeps a backup."""
    ladder_due: asyncio.Event = field(default_factory=asyncio.Event)
    events_due: asyncio.Event = field(default_factory=asyncio.Event)
    lists_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    chains_due: set[ChatId] = field(default_factory=set)
    """Chats of whose membership events some are missing."""
    chains_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    log_due: asyncio.Event = field(default_factory=asyncio.Event)
    settings: SettingsBook = field(init=False)
    marks: Marks = field(init=False)
    presence: Presence = field(init=False)
    backup_due: asyncio.Event = field(default_factory=asyncio.Event)
    """The key backup may have something to send."""
    keys_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Own devices have to be asked or told something."""
    history_settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set unless this device still fetches its history from the backup."""
    mail: deque[Mail] = field(default_factory=deque)
    """What envelopes ask for, until somebody answers."""
    mail_due: asyncio.Event = field(default_factory=asyncio.Event)
    uploads_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Encrypted copies of files are to be sent, or are not needed any more."""
    erase_due: asyncio.Event = field(default_factory=asyncio.Event)
    timers_due: asyncio.Event = field(default_factory=asyncio.Event)
    earlier_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Rows from before one joined are to be fetched."""
    profiles_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody's profile is to be fetched, or the own one to be published."""
    giving_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Keys are owed to members: of earlier sessions to new ones, withheld ones to who was accepted."""
    device_names: Mapping[bytes, DeviceInfo] = field(default_factory=dict)
    """What the server calls the own devices, by its last word."""

    def __post_init__(self) -> None:
        self.memberships = Memberships(self.me)
        self.rows = RowReader(self.me, self.memberships)
        self.envelopes = EnvelopeReader(self.me, self.rows)
        self.healer = Healer(self.me, self.memberships, self.envelopes)
        self.resender = Resender(self.me, self.envelopes, self.rows, self.healer)
        self.giver = Giver(self.me, self.memberships)
        self.given_keys = GivenKeys(self.me, self.envelopes)
        self.settings = SettingsBook(self.me)
        self.marks = Marks(self.me, self.settings)
        self.presence = Presence(self.store, self.emitter)
        self.profiles = GroupProfiles(self.memberships, self.settings)
        self.rows.members.applied = self.profiles.applied
        self.envelopes.profile_key = self.profiles.take_key
        self.post = PostOffice(self.me, self._allowance)
        self.sealer = Sealer(self.me, self.memberships, self._allowance)

    async def commit(self, step: Callable[[Tx, Outcome], T]) -> T:
        """Run `step` in one transaction; after its commit its events go out, in order."""
        return await self.commit_with(Outcome(), step)

    async def commit_with(self, out: O, step: Callable[[Tx, O], T]) -> T:
        """`commit` with an outcome of the caller's kind, which the caller reads afterwards."""
        changed: list[Event] = []

        def run(tx: Tx) -> T:
            value = step(tx, out)
            if out.rolled_back:
                mark_rolled_back(tx)
            if out.touched:
                begin_timers(tx, out, self.me.clock.now_ms())
            out.sessions_changed |= tx.inbound.changed
            for chat_id in out.touched:
                view = tx.views.chat(chat_id)
                if view is not None:
                    changed.append(ChatChanged(shown_view(tx, view)))
            out.events[:] = [shown_event(tx, event) for event in out.events]
            return value

        try:
            value = await self.store.run(run)
        except BaseException:
            self.memberships.forget()
            raise
        self.emitter.emit(*out.events, *changed)
        for act in out.after:
            act()
        self._follow_up(out)
        if out.rolled_back:
            raise SecurityError("rolled_back")
        return value

    def _follow_up(self, out: Outcome) -> None:
        """Wake who has something to do now."""
        if isinstance(out, Mail) and (out.acks or out.broken or out.asked or out.answers):
            self.mail.append(out)
            self.mail_due.set()
        for due, event in (
            (out.sessions_changed or out.settings or out.touched, self.backup_due),
            (out.settings, self.keys_due),
            (out.log_due, self.log_due),
            (out.ask_keys, self.ladder_due),
            (out.sign_events, self.events_due),
            (out.uploads, self.uploads_due),
            (out.wanted_lists, self.lists_wanted),
            (out.erase, self.erase_due),
            (out.timers, self.timers_due),
            (out.earlier, self.earlier_due),
            (out.giving, self.giving_due),
            (out.profiles, self.profiles_due),
        ):
            if due:
                event.set()
        if out.wanted_chains:
            self.chains_due.update(out.wanted_chains)
            self.chains_wanted.set()

    async def allow_more(self) -> None:
        """Let the vault allow the next block of encryptions. Raises ProfileError; then nothing may be encrypted."""
        gen = await self.store.read(lambda tx: tx.own.gen())
        await self.vault.reserve(gen + 1)

    def _allowance(self, tx: Tx) -> int:
        """How many more encryptions the vault allows."""
        return max(0, self.vault.ceiling - tx.own.gen())

    @staticmethod
    def chance() -> float:
        """Uniform in [0, 1): spreads clients over time."""
        return random.random()  # noqa: S311 - not a secret
