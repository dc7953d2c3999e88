"""The client's values as the view models want them. Pure."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import AttachmentState, Cause, Direction, MessageKind
from mensajeria.client.api import ConnectionPhase as ClientPhase
from mensajeria.client.api import MessageState as ClientState
from mensajeria.desktop.bridge.updates import TransferPut
from mensajeria.desktop.viewmodels.notes import Arrival
from mensajeria.desktop.viewmodels.parts import FilePhase, FileRow, QuoteKind, QuoteRow, ReactionRow, TransferRow
from mensajeria.desktop.viewmodels.profiles import ProfileRow
from mensajeria.desktop.viewmodels.types import (
    ChatRow,
    ConnectionPhase,
    ConnectionState,
    MessageRow,
    MessageState,
    Page,
    Person,
    ServiceKind,
    Unreadable,
)
from mensajeria.protocol.ids import Mid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mensajeria.client.api import ChatView, ConnectionChanged, Message, Quote, Reaction, Transfer, UserProfile
    from mensajeria.client.api import Page as ClientPage
    from mensajeria.client.api import Person as ClientPerson

HUES: Final = 8
ENCRYPTED_KEY: Final = "encrypted"
"""Key of the notice that stands at the start of every chat."""
_ENCRYPTED_POSITION: Final = -1

_ORDER_SHIFT: Final = 16
_BESIDE_A_ROW: Final = (1 << _ORDER_SHIFT) - 1
"""The part of an order in which a notice behind a row of the log differs from the row."""

_STATES: Final = {
    ClientState.QUEUED: MessageState.SENDING,
    ClientState.SENT: MessageState.SENT,
    ClientState.DELIVERED: MessageState.DELIVERED,
    ClientState.READ: MessageState.READ,
    ClientState.FAILED: MessageState.FAILED,
    ClientState.RECEIVED: MessageState.NONE,
}
_UNREADABLE: Final = {
    Cause.WAITING: Unreadable.WAITING,
    Cause.BEFORE_JOINED: Unreadable.BEFORE_JOINED,
    Cause.NOT_KEPT: Unreadable.NOT_KEPT,
    Cause.LOST: Unreadable.LOST,
    Cause.BLOCKED: Unreadable.BLOCKED,
}
_LOST: Final = {
    "unknown": Unreadable.LOST_UNKNOWN,
    "refused": Unreadable.LOST_REFUSED,
    "silent": Unreadable.LOST_SILENT,
}
_SERVICE: Final = {
    Cause.TAMPERED: ServiceKind.TAMPERED,
    Cause.MISSING: ServiceKind.MESSAGES_MISSING,
    Cause.REMOVED_BY_SERVER: ServiceKind.REMOVED_BY_SERVER,
    Cause.IDENTITY_CHANGED: ServiceKind.IDENTITY_CHANGED,
    Cause.IDENTITY_RENEWED: ServiceKind.IDENTITY_RENEWED,
    Cause.NEW_DEVICE: ServiceKind.NEW_DEVICE,
    Cause.GROUP_CREATED: ServiceKind.GROUP_CREATED,
    Cause.MEMBER_ADDED: ServiceKind.MEMBER_ADDED,
    Cause.MEMBER_REMOVED: ServiceKind.MEMBER_REMOVED,
    Cause.MEMBER_LEFT: ServiceKind.MEMBER_LEFT,
    Cause.HISTORY_SHARED: ServiceKind.HISTORY_SHARED,
    Cause.ROLE_CHANGED: ServiceKind.ROLE_CHANGED,
    Cause.GROUP_RENAMED: ServiceKind.GROUP_RENAMED,
    Cause.TIMER_CHANGED: ServiceKind.TIMER_CHANGED,
    Cause.GROUP_SUPERSEDED: ServiceKind.GROUP_SUPERSEDED,
    Cause.GROUP_FORKED: ServiceKind.GROUP_FORKED,
    Cause.MEMBER_SKIPPED: ServiceKind.MEMBER_SKIPPED,
    Cause.ACCOUNT_GONE: ServiceKind.ACCOUNT_GONE,
}
_WRITTEN: Final = frozenset({MessageKind.TEXT, MessageKind.FILE})
_QUOTES: Final = {
    MessageKind.TEXT: QuoteKind.TEXT,
    MessageKind.FILE: QuoteKind.FILE,
    MessageKind.DELETED: QuoteKind.DELETED,
}
_FILE_PHASES: Final = {
    AttachmentState.UPLOADING: FilePhase.UPLOADING,
    AttachmentState.REMOTE: FilePhase.REMOTE,
    AttachmentState.SAVED: FilePhase.SAVED,
}
_PHASES: Final = {
    ClientPhase.OFFLINE: ConnectionPhase.OFFLINE,
    ClientPhase.CONNECTING: ConnectionPhase.CONNECTING,
    ClientPhase.CATCHING_UP: ConnectionPhase.CATCHING_UP,
    ClientPhase.ONLINE: ConnectionPhase.ONLINE,
    ClientPhase.LOGIN_ENDED: ConnectionPhase.SESSION_EXPIRED,
    ClientPhase.STOPPED: ConnectionPhase.SECURITY,
}


def hue_of(uid: bytes) -> int:
    """Which of the avatars' gradients belongs to a user."""
    return hashlib.sha256(uid).digest()[0] % HUES


def person(value: ClientPerson) -> Person:
    """A user."""
    return Person(
        uid=value.uid.hex(),
        handle=value.handle,
        name="",
        hue=hue_of(value.uid),
        verified=value.trust.is_verified,
    )


def profile(uid: bytes, value: UserProfile) -> ProfileRow:
    """What somebody tells about themselves."""
    return ProfileRow(uid.hex(), value.name, value.status, value.picture)


def key_of(message: Message) -> str:
    """A key that a row keeps for ever.

    An own message is known by its id from the moment it is typed. Any other row is known by its place in the log: ids
    of other people's rows are claims, and a replayed row claims an id that is taken.
    """
    if message.kind is MessageKind.NOTICE or (not message.outgoing and message.seq is None):
        return f"n{message.order}"
    return own_key(message.mid) if message.outgoing else f"s{message.seq}"


def own_key(mid: bytes) -> str:
    """The key of an own message's row."""
    return f"m{mid.hex()}"


def keys_at(mid: bytes, order: int) -> tuple[str, ...]:
    """Every key that the row of a removed message can have."""
    keys = (own_key(mid), f"n{order}")
    is_row = not order & _BESIDE_A_ROW
    return (*keys, f"s{order >> _ORDER_SHIFT}") if is_row else keys


def mid_of(key: str) -> Mid:
    """The id of an own message from its row's key. Raises ValueError for any other row's key."""
    if not key.startswith("m"):
        raise ValueError(key)
    return Mid(bytes.fromhex(key[1:]))


def message_row(message: Message, own_uid: bytes = b"") -> MessageRow:
    """One row of a timeline. `own_uid` tells which reactions and answered messages are the person's own."""
    return MessageRow(
        key=key_of(message),
        position=message.order,
        sender=person(message.sender),
        outgoing=message.outgoing,
        time_ms=message.sent_ms,
        text=message.text if message.kind in _WRITTEN else "",
        state=_STATES[message.state] if message.outgoing else MessageState.NONE,
        error=str(message.error or ""),
        unreadable=unreadable_of(message),
        service=service_of(message),
        service_params=_service_params(message),
        clock_off=message.clock_off,
        edited=message.edited,
        mid="" if message.kind is MessageKind.NOTICE else message.mid.hex(),
        quote=None if message.reply is None else quote_row(message.reply, own_uid),
        reactions=reaction_rows(message.reactions, own_uid),
        file=file_row(message),
        expire_s=message.expire_s,
    )


def quote_row(quote: Quote, own_uid: bytes) -> QuoteRow:
    """The answered message, as it stands here now."""
    if quote.kind is None or quote.order is None:
        kind = QuoteKind.MISSING
    else:
        kind = _QUOTES.get(quote.kind, QuoteKind.MISSING)
    return QuoteRow(
        author=quote.sender.handle,
        hue=hue_of(quote.sender.uid),
        outgoing=quote.sender.uid == own_uid,
        kind=kind,
        text=quote.text,
        position=quote.order,
    )


def reaction_rows(reactions: Sequence[Reaction], own_uid: bytes) -> tuple[ReactionRow, ...]:
    """Reactions by emoji, in the order in which the emoji first appeared."""
    people: dict[str, list[Reaction]] = {}
    for reaction in reactions:
        people.setdefault(reaction.emoji, []).append(reaction)
    return tuple(
        ReactionRow(
            emoji,
            len(given),
            mine=any(each.person.uid == own_uid for each in given),
            names=tuple(each.person.handle for each in given if each.person.uid != own_uid),
        )
        for emoji, given in people.items()
    )


def file_row(message: Message) -> FileRow | None:
    """A message's file and where it is."""
    file = message.attachment
    if file is None:
        return None
    failed = message.state is ClientState.FAILED
    return FileRow(
        name=file.name,
        media=file.media,
        size=file.size,
        phase=FilePhase.FAILED if failed else _FILE_PHASES[file.state],
        risky=file.risky,
        width=file.width if file.is_picture else 0,
        height=file.height if file.is_picture else 0,
        blurhash=file.blurhash,
        thumb=file.thumb,
        saved_to=file.saved_to or "",
    )


def transfer_put(transfer: Transfer) -> TransferPut:
    """How far a file has come; one that has arrived is no longer on its way."""
    upload = transfer.direction is Direction.UPLOAD
    at = None if transfer.finished else TransferRow(upload, transfer.done, transfer.total)
    return TransferPut(transfer.chat_id.hex(), transfer.mid.hex(), at)


def arrival(message: Message) -> Arrival | None:
    """A message of somebody else that a person may be told of; None for anything else."""
    if message.outgoing or message.kind not in _WRITTEN:
        return None
    return Arrival(message.chat_id.hex(), person(message.sender).shown_name, _text_of(message))


def _text_of(message: Message) -> str:
    """What a person wrote; of a file its name, and what goes with it below."""
    if message.attachment is not None:
        return f"📎 {message.attachment.name}" + (f"\n{message.text}" if message.text else "")
    return message.text if message.kind is MessageKind.TEXT else ""


def unreadable_of(message: Message) -> Unreadable | None:
    """Why the row has no text, when a sentence in the bubble says so."""
    if message.kind is MessageKind.DELETED:
        return Unreadable.DELETED
    if message.kind is MessageKind.UNKNOWN:
        return Unreadable.UNKNOWN
    if message.cause is Cause.LOST and message.params.get("why") in _LOST:
        return _LOST[message.params["why"]]
    return _UNREADABLE.get(message.cause) if message.cause is not None else None


def service_of(message: Message) -> ServiceKind | None:
    """Which notice the row is, when nobody wrote it (or nobody can be believed to have written it)."""
    return _SERVICE.get(message.cause) if message.cause is not None else None


def _service_params(message: Message) -> Mapping[str, str]:
    return MappingProxyType({"name": message.sender.handle, **message.params})


def page(chat_id: str, value: ClientPage, own_uid: bytes = b"") -> Page:
    """A stretch of a timeline; its very start carries the notice that the chat is encrypted."""
    rows = tuple(message_row(message, own_uid) for message in value.messages)
    if value.at_start:
        rows = (_encrypted_row(rows[0].time_ms if rows else 0), *rows)
    return Page(chat_id, rows, at_start=value.at_start, at_end=value.at_end)


def _encrypted_row(time_ms: int) -> MessageRow:
    return MessageRow(
        key=ENCRYPTED_KEY,
        position=_ENCRYPTED_POSITION,
        sender=Person("", "", "", 0),
        outgoing=False,
        time_ms=time_ms,
        service=ServiceKind.ENCRYPTED,
    )


def chat_row(view: ChatView, *, own_title: str, typists: tuple[str, ...] = (), online: bool = False) -> ChatRow:
    """One row of the chat list. `own_title` names the note to self; `online`: the other member is here."""
    last, peer, group = view.last, view.peer, view.group
    return ChatRow(
        chat_id=view.chat_id.hex(),
        title=own_title if view.note_to_self else view.name or f"#{view.chat_id.hex()[:8]}",
        hue=hue_of(view.chat_id if peer is None else peer.uid),
        handle="" if peer is None else peer.handle,
        preview=_text_of(last) if last else "",
        preview_kind=(service_of(last) or unreadable_of(last)) if last else None,
        preview_outgoing=bool(last and last.outgoing),
        time_ms=last.sent_ms if last else 0,
        sort_ms=view.activity_ms,
        unread=view.unread,
        last_state=_STATES[last.state] if last and last.outgoing else MessageState.NONE,
        verified=peer is not None and peer.trust.is_verified,
        online=online,
        draft=view.draft,
        typing=bool(typists),
        typist=typists[0] if typists and group is not None else "",
        author=last.sender.handle if last is not None and group is not None and not last.outgoing else "",
        group=group is not None,
        members=group.members if group is not None else 0,
        role=str(group.role.value) if group is not None and group.role is not None else "",
        blocked=view.blocked,
        muted_until_ms=view.muted_until_ms,
        closed=_closed(view),
        peer="" if peer is None else peer.uid.hex(),
        picture=group.picture if group is not None else b"",
        request=not view.accepted,
        identity_changed=view.identity_changed,
        note_to_self=view.note_to_self,
    )


def _closed(view: ChatView) -> str:
    if view.gone:
        return "account_gone"
    return str(view.group.closed.value) if view.group is not None and view.group.closed is not None else ""


def connection_state(event: ConnectionChanged, server: str) -> ConnectionState:
    """State of the link to the server."""
    return ConnectionState(
        phase=_PHASES[event.phase],
        server=server,
        retry_at_ms=event.retry_at_ms,
        pending=event.pending,
        error=str(event.code or ""),
    )
