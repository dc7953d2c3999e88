"""What the client writes into a timeline itself: what membership events did, and who was left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from mensajeria.client.api import Cause, MessageKind, MessageReceived, MessageState
from mensajeria.client.engine.me import Me
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.contacts import NOBODY
from mensajeria.client.store.values import Chat, NewMessage
from mensajeria.kit.ids import random16
from mensajeria.protocol.encoding import H, u64
from mensajeria.protocol.ids import ChatId, Mid, Uid
from mensajeria.protocol.records import MemberEvent

MAX_NAMED: Final = 20
"""People that one notice names; of more it says how many."""


def note_event(tx: Tx, out: Outcome, chat_id: ChatId, event: MemberEvent, row_seq: int, at_ms: int) -> None:
    """Say in a group's timeline, at the event's own place, what a valid event has changed."""
    told, mid = _told(tx, event), Mid(H("place", chat_id, u64(row_seq), b"member")[:16])
    if told is None or tx.messages.find(chat_id, mid) is not None:
        return
    cause, params = told
    shown = tx.messages.add(
        NewMessage(
            chat_id=chat_id,
            mid=mid,
            sender=Uid(event.by_uid),
            outgoing=False,
            kind=MessageKind.NOTICE,
            state=MessageState.RECEIVED,
            sent_ms=at_ms,
            seq=row_seq,
            server_ms=at_ms,
            cause=cause,
            params=params,
        )
    )
    out.events.append(MessageReceived(shown))
    out.touched.add(chat_id)


def _told(tx: Tx, event: MemberEvent) -> tuple[Cause, Mapping[str, str]] | None:  # noqa: PLR0911 - a table
    """Cause and parameters; None for what changes nothing that people see there (a name comes with its key)."""
    match event.type:
        case "create":
            others = [member.uid for member in event.members if member.uid != event.by_uid]
            return Cause.GROUP_CREATED, _named(tx, others)
        case "add":
            return Cause.MEMBER_ADDED, _named(tx, [member.uid for member in event.members])
        case "remove":
            return Cause.MEMBER_REMOVED, _named(tx, [event.who])
        case "leave":
            return Cause.MEMBER_LEFT, {}
        case "role":
            return Cause.ROLE_CHANGED, {**_named(tx, [event.who]), "role": event.role}
        case "timer":
            return Cause.TIMER_CHANGED, {"seconds": str(event.timer_s)}
        case "identity":
            return Cause.IDENTITY_RENEWED, {"handle": tx.contacts.person(Uid(event.by_uid)).handle}
        case "supersede":
            return Cause.GROUP_SUPERSEDED, {}
        case _:
            return None


def _named(tx: Tx, uids: Collection[bytes]) -> dict[str, str]:
    names = [tx.contacts.person(Uid(uid)).handle for uid in list(uids)[:MAX_NAMED]]
    more = f" +{len(uids) - MAX_NAMED}" if len(uids) > MAX_NAMED else ""
    return {"who": ", ".join(names) + more, "count": str(len(uids))}


def note(tx: Tx, out: Outcome, me: Me, chat: Chat, cause: Cause, params: Mapping[str, str], about: Uid) -> None:
    """Say something behind the newest row that this device has decided."""
    shown = tx.messages.notice(
        chat.chat_id,
        after_seq=chat.cursor,
        mid=Mid(random16()),
        about=about,
        cause=cause,
        at_ms=me.clock.now_ms(),
        params=params,
    )
    if shown is not None:
        out.events.append(MessageReceived(shown))
        out.touched.add(chat.chat_id)


def note_left_out(tx: Tx, out: Outcome, me: Me, chat: Chat, uids: Collection[Uid]) -> None:
    """Say once who of a group gets no keys; and forget it of who does again, so that it is said again."""
    if not chat.is_group:
        return
    name = f"left_out:{chat.chat_id.hex()}"
    known = tx.meta.get(name) or b""
    before = {Uid(known[at : at + 16]) for at in range(0, len(known), 16)}
    if before == set(uids):
        return
    for uid in sorted(set(uids) - before):
        handle = tx.contacts.person(uid).handle
        note(tx, out, me, chat, Cause.MEMBER_SKIPPED, {"who": handle}, NOBODY)
    tx.meta.set(name, b"".join(sorted(uids)))
