"""The client's values and events as lines for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from mensajeria.cli.terminal import hanging, one_line
from mensajeria.client import api

if TYPE_CHECKING:
    from mensajeria.cli.console import Console
    from mensajeria.client.api import Attachment, ChatView, DeviceView, Event, Message, SecurityEntry

_LATEST_MS: Final = 253_370_764_800_000
"""Beginning of the year 9999: a sender can claim any time."""
_TICKS: Final = {
    api.MessageState.QUEUED: "◷",
    api.MessageState.SENT: "✓",
    api.MessageState.DELIVERED: "✓✓",
    api.MessageState.READ: "✓✓",
    api.MessageState.FAILED: "!",
}
_CAUSES: Final = {
    api.Cause.WAITING: "unreadable.waiting",
    api.Cause.BEFORE_JOINED: "unreadable.before_joined",
    api.Cause.NOT_KEPT: "unreadable.not_kept",
    api.Cause.LOST: "unreadable.lost",
    api.Cause.BLOCKED: "unreadable.blocked",
    api.Cause.TAMPERED: "service.tampered",
    api.Cause.MISSING: "service.messages_missing",
    api.Cause.REMOVED_BY_SERVER: "service.removed_by_server",
    api.Cause.IDENTITY_CHANGED: "service.identity_changed",
    api.Cause.IDENTITY_RENEWED: "service.identity_renewed",
    api.Cause.NEW_DEVICE: "service.new_device",
    api.Cause.GROUP_CREATED: "service.group_created",
    api.Cause.MEMBER_ADDED: "service.member_added",
    api.Cause.MEMBER_REMOVED: "service.member_removed",
    api.Cause.MEMBER_LEFT: "service.member_left",
    api.Cause.HISTORY_SHARED: "service.history_shared",
    api.Cause.ROLE_CHANGED: "service.role_changed",
    api.Cause.GROUP_RENAMED: "service.group_renamed",
    api.Cause.TIMER_CHANGED: "service.timer_changed",
    api.Cause.GROUP_SUPERSEDED: "service.group_superseded",
    api.Cause.GROUP_FORKED: "service.group_forked",
    api.Cause.MEMBER_SKIPPED: "service.member_skipped",
    api.Cause.ACCOUNT_GONE: "service.account_gone",
}
_UNITS: Final = ("kB", "MB", "GB", "TB")
_INDENT: Final = " " * 4
_QUOTE_CHARS: Final = 60


def moment(time_ms: int) -> str:
    """A time in the local zone, as in ``2026-11-24 18:09``."""
    seconds = min(max(time_ms, 0), _LATEST_MS) / 1000
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def message_line(message: Message, console: Console) -> str:
    """When, who, what; further lines of a text are indented."""
    who = console.tr("history.you") if message.outgoing else message.sender.handle or "?"
    paint = console.ink.teal if message.outgoing else console.ink.blue
    head = f"{console.ink.dim(moment(message.sent_ms))}  {paint(one_line(who))}"
    body = f"{_quote(message, console)}{_body(message, console)}"
    return f"{head}: {hanging(body, _INDENT)}{_marks(message, console)}{_tail(message, console)}"


def chat_name(chat: ChatView, console: Console) -> str:
    """What a chat is called: a group whose name is not known yet by the beginning of its id."""
    if chat.note_to_self:
        return console.translator.tr("chat.note_to_self")
    if chat.peer is None and not chat.name:
        return console.translator.tr("group.unnamed", id=chat.chat_id.hex()[:8])
    return chat.name


def chat_line(chat: ChatView, console: Console) -> str:
    """Whose chat, what waits in it, and how it ends."""
    tr = console.translator.tr
    name = chat_name(chat, console)
    marks = [tr("cli.chats.request")] if not chat.accepted else []
    marks += [tr("cli.chats.blocked")] if chat.blocked else []
    marks += [tr("cli.chats.gone")] if chat.gone else []
    marks += [tr("cli.chats.unread", count=chat.unread)] if chat.unread else []
    marked = f" [{', '.join(marks)}]" if marks else ""
    preview = f"  {one_line(_body(chat.last, console))[:60]}" if chat.last is not None else ""
    head = f"{console.ink.bold(one_line(name))}{console.ink.yellow(marked)}"
    return f"{head}  {console.ink.dim(moment(chat.activity_ms))}{preview}"


def device_line(device: DeviceView, console: Console) -> str:
    """A device: name and dates."""
    line = console.tr(
        "devices.line",
        name=one_line(device.name),
        created=moment(device.created_ms),
        seen=moment(device.last_seen_ms),
    )
    if device.is_new:
        line += console.ink.yellow(f" ({console.tr('devices.new')})")
    return f"{line} ({console.tr('devices.this')})" if device.current else line


def _new_device(device: DeviceView, console: Console) -> str:
    return console.tr("listen.device", name=one_line(device.name), id=device.did.hex()[:8])


def security_line(entry: SecurityEntry, console: Console) -> str:
    """A line of a chat's security timeline."""
    tr, params = console.translator.tr, dict(entry.params)
    if entry.kind is api.SecurityKind.WARNING:
        text = console.ink.red(one_line(console.translator.error(params.pop("code"), params)))
    elif entry.kind is api.SecurityKind.MEMBERSHIP:
        key = f"security.membership.{params['type']}"
        text = one_line(tr(key if console.translator.has(key) else "security.membership.unknown", **params))
    else:
        if "method" in params:
            params["method"] = tr(f"verification.method.{params['method']}")
        if "reason" in params:
            params["reason"] = tr(f"verification.{params['reason']}")
        name = "?" if entry.person is None else entry.person.handle
        text = one_line(tr(f"security.{entry.kind}", **{"name": name, **params}))
    return f"{console.ink.dim(moment(entry.at_ms))}  {text}"


def event_line(event: Event, console: Console) -> str | None:  # noqa: PLR0911 - one line for each kind
    """A line of `listen`; None for what people need not see there."""
    match event:
        case api.MessageReceived(message):
            return message_line(message, console)
        case api.ChatChanged(chat) if not chat.accepted:
            return console.ink.yellow(console.tr("listen.request", name=one_line(chat_name(chat, console))))
        case api.IdentityChanged(_, person):
            return console.ink.yellow(console.tr("listen.identity", name=one_line(person.handle)))
        case api.DeviceListChanged(_, added) if added:
            return console.ink.yellow("\n".join(_new_device(device, console) for device in added))
        case api.DeviceLinked(device):
            return console.ink.yellow(console.tr("devices.linked", name=one_line(device.name)))
        case api.SecurityWarning(code, _, params):
            return console.ink.red(one_line(console.translator.error(code, params)))
        case api.VerificationChanged(verification) if verification.phase is api.VerificationPhase.INCOMING:
            name = one_line(verification.person.handle)
            return console.ink.yellow(console.translator.tr("verification.incoming", name=name))
        case api.EventsLost(count):
            return console.ink.yellow(console.tr("listen.lost", count=count))
        case _:
            return None


def _body(message: Message, console: Console) -> str:
    if message.kind is api.MessageKind.TEXT:
        return f"[{console.translator.tr('group.late')}] {message.text}" if message.late else message.text
    if message.kind is api.MessageKind.DELETED:
        return f"[{console.translator.tr('unreadable.deleted')}]"
    if message.attachment is not None:
        return _file(message.attachment, message.text, console)
    if message.cause is None:
        return f"[{console.translator.tr('unreadable.unknown')}]"
    if message.cause is api.Cause.TIMER_CHANGED:
        return f"[{console.translator.timer(message.sender.handle, message.params.get('seconds', ''))}]"
    params: dict[str, object] = {"name": message.sender.handle, **_numbers(message)}
    if "role" in params:
        params["role"] = console.translator.tr(f"group.role.{params['role']}")
    if "choice" in params:
        params["choice"] = console.translator.tr(f"group.history.{params['choice']}")
    return f"[{console.translator.tr(_sentence(message), **params)}]"


def _sentence(message: Message) -> str:
    """The name of the sentence for an unreadable place or a notice."""
    assert message.cause is not None
    name, why = _CAUSES[message.cause], message.params.get("why", "")
    return f"{name}_{why}" if message.cause is api.Cause.LOST and why in set(api.Lost) else name


def _file(attachment: Attachment, caption: str, console: Console) -> str:
    what = console.tr("files.attached", name=one_line(attachment.name), size=size_text(attachment.size))
    warning = f"; {console.tr('files.risky')}" if attachment.risky else ""
    return f"[{what}{warning}]{' ' if caption else ''}{caption}"


def size_text(size: int) -> str:
    """A number of bytes for people, in units of 1000 as file managers count."""
    if size < 1000:  # noqa: PLR2004 - the unit
        return f"{size} B"
    value, unit = size / 1000, 0
    while value >= 999.5 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - would be shown as 1000
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def _quote(message: Message, console: Console) -> str:
    """What it answers, in a line before it."""
    quote = message.reply
    if quote is None:
        return ""
    if quote.kind is api.MessageKind.DELETED:
        said = f"[{console.translator.tr('unreadable.deleted')}]"
    else:
        said = f"[{console.tr('history.not_here')}]" if quote.kind is None else one_line(quote.text)[:_QUOTE_CHARS]
    return f"> {one_line(quote.sender.handle)}: {said}\n"


def _marks(message: Message, console: Console) -> str:
    """That it was edited, and who reacted how."""
    edited = [console.translator.tr("timeline.edited")] if message.edited else []
    reactions = [f"{one.emoji} {one_line(one.person.handle)}" for one in message.reactions]
    marks = [*edited, *reactions]
    return f" {console.ink.dim('(' + ', '.join(marks) + ')')}" if marks else ""


def _numbers(message: Message) -> dict[str, object]:
    return {
        name: int(value) if value.isascii() and value.isdigit() else value for name, value in message.params.items()
    }


def _tail(message: Message, console: Console) -> str:
    if not message.outgoing or message.state not in _TICKS:
        return ""
    tick = f" {_TICKS[message.state]}"
    if message.error is not None:
        return console.ink.red(f"{tick} {one_line(console.translator.error(str(message.error)))}")
    return (console.ink.blue if message.state is api.MessageState.READ else console.ink.dim)(tick)
