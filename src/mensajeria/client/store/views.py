"""What lists show: chats with their last message, and what a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mensajeria.client.api import ChatView, Closed, GroupRole, GroupView, MemberView, Message
from mensajeria.client.store.chats import chat_key
from mensajeria.client.store.contacts import person
from mensajeria.client.store.db import Db, Row
from mensajeria.client.store.fulltext import index_new, match_expression
from mensajeria.client.store.groups import Groups
from mensajeria.client.store.message_rows import SELECT, message_of
from mensajeria.client.store.mutes import until_of
from mensajeria.client.store.values import Chat, Group, Halt
from mensajeria.protocol.ids import ChatId, Uid

if TYPE_CHECKING:
    from mensajeria.client.store.tx import Tx

_CHAT: Final = (
    "SELECT c.key, c.chat_id, c.peer, p.handle, p.trust, c.note_to_self, c.accepted, c.identity_changed, c.unread, "
    "c.activity_ms, c.draft, c.peer IS NOT NULL AND EXISTS(SELECT 1 FROM settings s "
    "WHERE s.key = 'blocked:' || lower(hex(c.peer)) AND s.value = x'01'), coalesce(f.gone, 0), "
    "(SELECT s.value FROM settings s WHERE s.key = 'muted:' || lower(hex(c.chat_id))) "
    "FROM chats c LEFT JOIN contacts p ON p.uid = c.peer LEFT JOIN former_people f ON f.uid = c.peer"
)


class Views:
    """`tx.views`."""

    __slots__ = ("_db",)

    def __init__(self, db: Db) -> None:
        self._db = db

    def chat(self, chat_id: ChatId) -> ChatView | None:
        """One chat as a list shows it."""
        row = self._db.one(f"{_CHAT} WHERE c.chat_id = ?", chat_id)
        return None if row is None else self._view(row)

    def chats(self) -> tuple[ChatView, ...]:
        """All chats that were not declined, latest activity first."""
        rows = self._db.all(f"{_CHAT} WHERE NOT c.declined ORDER BY c.activity_ms DESC, c.key DESC")
        return tuple(self._view(row) for row in rows)

    def search(
        self, text: str, *, chat_id: ChatId | None = None, limit: int = 50, before: int = 0
    ) -> tuple[Message, ...]:
        """Messages in which every word of `text` begins a word (case and accents ignored), the last stored first.

        Words beyond the 16th and characters beyond the 256th are ignored. `before` > 0 goes on behind that many
        results.
        """
        query = match_expression(text)
        if query is None:
            return ()
        if chat_id is not None:
            query = f"{query} AND scope : c{chat_key(self._db, chat_id)}"
        index_new(self._db)  # what earlier calls stored whose commit is shared with this one
        sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? ORDER BY rowid DESC LIMIT ? OFFSET ?"
        rows = self._db.all(f"{SELECT} WHERE m.id IN ({sql}) ORDER BY m.id DESC", query, limit, before)
        return tuple(map(message_of, rows))

    def _view(self, row: Row) -> ChatView:
        key, chat_id, peer, handle, trust, to_self, accepted, changed, unread, activity, draft, *marks = row
        blocked, gone, muted = marks
        last = self._db.one(f"{SELECT} WHERE m.chat = ? ORDER BY m.ord DESC LIMIT 1", key)
        return ChatView(
            chat_id=ChatId(chat_id),
            peer=person(peer, handle, trust) if peer else None,
            note_to_self=bool(to_self),
            accepted=bool(accepted),
            identity_changed=bool(changed),
            last=None if last is None else message_of(last),
            unread=unread,
            activity_ms=activity,
            draft=draft,
            gone=bool(gone),
            group=None if peer else self._group(key, ChatId(chat_id)),
            blocked=bool(blocked),
            muted_until_ms=until_of(muted),
        )

    def _group(self, key: int, chat_id: ChatId) -> GroupView | None:
        groups = Groups(self._db)
        group = groups.get(chat_id)
        if group is None:
            return None
        count = self._db.value("SELECT count(*) FROM group_members WHERE chat = ?", key)
        return GroupView(
            name=group.name,
            description=group.description,
            members=count,
            role=GroupRole(group.role) if group.role and not group.leaving else None,
            closed=closed_of(group),
            superseded_by=group.superseded_by,
            picture=groups.picture(chat_id),
        )


def members_of(tx: Tx, chat: Chat, own: Uid) -> tuple[MemberView, ...]:
    """Who is in a chat: the owner first, then admins, each by name."""
    if chat.peer is not None:
        uids = dict.fromkeys((own, chat.peer))
        return tuple(MemberView(tx.contacts.person(uid), GroupRole.MEMBER) for uid in uids)
    members = [MemberView(tx.contacts.person(one.uid), GroupRole(one.role)) for one in tx.groups.members(chat.chat_id)]
    rank = list(GroupRole)
    return tuple(sorted(members, key=lambda member: (rank.index(member.role), member.person.handle)))


def closed_of(group: Group) -> Closed | None:
    """Why nothing can be written into a group."""
    if not group.role or group.leaving:
        return Closed.NOT_A_MEMBER
    if group.halted is Halt.FORKED:
        return Closed.FORKED
    if group.halted is Halt.NEWER:
        return Closed.NEWER
    return Closed.SUPERSEDED if group.superseded_by is not None else None
