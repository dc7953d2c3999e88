"""Names of groups: opened as soon as event and key are both here, in whichever order they come."""

from __future__ import annotations

from typing import Final

from mensajeria.client.api import Cause, MessageKind, MessageReceived, MessageState
from mensajeria.client.engine.membership import Memberships
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.shared_settings import SettingsBook
from mensajeria.client.store import Tx
from mensajeria.client.store.values import NewMessage
from mensajeria.client.transfer.pictures import is_portrait
from mensajeria.crypto.aead import SealError
from mensajeria.crypto.group_profile import KEY_BYTES, new_profile_key, open_profile, seal_profile
from mensajeria.crypto.padding import PaddingError
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.encoding import H, MalformedError, NewerVersionError, u64
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.membership_state import MembershipState
from mensajeria.protocol.records import MemberEvent
from mensajeria.protocol.records_groups import GroupProfile

SHARED: Final = "group-key:"
"""Before a group's id: the setting by which own devices, new ones too, have the key of its name."""


class GroupProfiles:
    """Runs in the store's thread, inside transactions."""

    def __init__(self, memberships: Memberships, settings: SettingsBook) -> None:
        self._memberships = memberships
        self._settings = settings
        settings.on(SHARED, self._shared)

    def take_key(self, tx: Tx, out: Outcome, chat_id: ChatId, carrier: Uid, key: Secret) -> None:
        """A member's device has brought a profile key. A false one opens nothing and is soon forgotten."""
        if len(key.reveal()) != KEY_BYTES or tx.groups.get(chat_id) is None:
            return
        if self._memberships.is_member(tx, chat_id, carrier) and tx.groups.add_key(chat_id, key):
            self.refresh(tx, out, chat_id)

    def applied(self, tx: Tx, out: Outcome, chat_id: ChatId, event: MemberEvent, row_seq: int, at_ms: int) -> None:
        """A valid event has been shown: what follows from it for the group itself."""
        if event.type == "profile":
            self._renamed(tx, out, chat_id, event, row_seq, at_ms)
        elif event.type == "create" and event.supersedes:
            self._supersedes(tx, out, chat_id, event)

    def seal(self, tx: Tx, chat_id: ChatId, profile: GroupProfile, ver: int, key: Secret | None) -> bytes:
        """Seal a profile of this version, by default under the key in use."""
        if key is None:
            key = tx.groups.key(chat_id)
        if key is None:
            key = new_profile_key()
            tx.groups.add_key(chat_id, key)
        return seal_profile(key, chat_id, ver, profile)

    def refresh(self, tx: Tx, out: Outcome, chat_id: ChatId) -> bool:
        """Open the profile in force if it is not shown yet and one of the keys fits; whether it was."""
        group, state = tx.groups.get(chat_id), self._memberships.of(tx, chat_id).now
        if group is None or group.profile_ver >= state.profile_ver:
            return False
        self._recall(tx, chat_id)
        found = _opened(tx, chat_id, state)
        if found is None:
            return False
        key, profile = found
        tx.groups.set_profile(
            chat_id,
            name=profile.name,
            description=profile.description,
            picture=profile.picture if is_portrait(profile.picture) else b"",
            ver=state.profile_ver,
        )
        tx.groups.use_key(chat_id, key)
        self._settings.put(tx, out, SHARED + chat_id.hex(), key.reveal())
        out.touched.add(chat_id)
        return True

    def _shared(self, tx: Tx, out: Outcome, name: str, _value: bytes) -> None:
        """Another own device knows the key. Of a group that is not here yet it is recalled when its events come."""
        chat_id = _chat_of(name)
        if chat_id is not None and tx.groups.get(chat_id) is not None:
            self.refresh(tx, out, chat_id)

    @staticmethod
    def _recall(tx: Tx, chat_id: ChatId) -> None:
        shared = tx.settings.get(SHARED + chat_id.hex())
        if shared is not None and len(shared.value) == KEY_BYTES:
            tx.groups.add_key(chat_id, Secret(shared.value))

    def _renamed(self, tx: Tx, out: Outcome, chat_id: ChatId, event: MemberEvent, row_seq: int, at_ms: int) -> None:
        """A new name is told; the same one under a new key, and the first one of all, is not."""
        self.refresh(tx, out, chat_id)
        chain = self._memberships.of(tx, chat_id)
        before, after = chain.at(event.seq - 1), chain.at(event.seq)
        now = None if after is None else _opened(tx, chat_id, after)
        if now is None or before is None or not before.profile:
            return
        former = _opened(tx, chat_id, before)
        if former is not None and former[1].name == now[1].name:
            return
        shown = tx.messages.add(
            NewMessage(
                chat_id=chat_id,
                mid=Mid(H("place", chat_id, u64(row_seq), b"profile")[:16]),
                sender=Uid(event.by_uid),
                outgoing=False,
                kind=MessageKind.NOTICE,
                state=MessageState.RECEIVED,
                sent_ms=at_ms,
                seq=row_seq,
                server_ms=at_ms,
                cause=Cause.GROUP_RENAMED,
                params={"title": now[1].name},
            )
        )
        out.events.append(MessageReceived(shown))

    def _supersedes(self, tx: Tx, out: Outcome, chat_id: ChatId, event: MemberEvent) -> None:
        """The way out of a forked group, if one of its own members made it. Nobody else can close a group."""
        former = ChatId(event.supersedes)
        old = tx.groups.get(former)
        if old is None or not self._memberships.is_member(tx, former, event.by_uid):
            return
        tx.groups.set_supersedes(chat_id, former)
        if self._memberships.of(tx, former).now.superseded_by:
            return  # its owner has said which one
        if tx.groups.forks(former) and (old.superseded_by is None or chat_id < old.superseded_by):
            tx.groups.set_superseded(former, chat_id)
            out.touched.add(former)


def _chat_of(name: str) -> ChatId | None:
    """The group that a setting is about; None when another program has written something else there."""
    try:
        return ChatId(bytes.fromhex(name.removeprefix(SHARED)))
    except ValueError:
        return None


def _opened(tx: Tx, chat_id: ChatId, state: MembershipState) -> tuple[Secret, GroupProfile] | None:
    """The profile of a state and the key that opens it; None when no key at hand does."""
    for key in tx.groups.keys(chat_id):
        try:
            return key, open_profile(key, chat_id, state.profile_ver, state.profile)
        except (SealError, PaddingError, MalformedError, NewerVersionError):
            continue
    return None
