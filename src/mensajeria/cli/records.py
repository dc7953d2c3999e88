"""The client's values and events as JSON objects. The fields are documented in docs/cli.md and never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mensajeria.client import api

if TYPE_CHECKING:
    from mensajeria.client.api import (
        Attachment,
        ChatView,
        ContactSecurity,
        DeviceView,
        Event,
        GroupView,
        MemberView,
        Message,
        Person,
        Quote,
        Transfer,
        Verification,
    )

_TYPES: Final = {
    api.MessageKind.TEXT: "message",
    api.MessageKind.FILE: "message",
    api.MessageKind.DELETED: "deleted",
    api.MessageKind.UNKNOWN: "unreadable",
    api.MessageKind.UNREADABLE: "unreadable",
    api.MessageKind.NOTICE: "notice",
}


def message_record(message: Message) -> dict[str, Any]:
    """A place of a timeline."""
    return {
        "type": _TYPES[message.kind],
        "chat": message.chat_id.hex(),
        "mid": message.mid.hex(),
        "seq": message.seq,
        "order": message.order,
        "from": message.sender.handle,
        "from_uid": message.sender.uid.hex(),
        "outgoing": message.outgoing,
        "text": message.text if message.kind in {api.MessageKind.TEXT, api.MessageKind.FILE} else "",
        "state": str(message.state),
        "sent_ms": message.sent_ms,
        "clock_off": message.clock_off,
        "cause": None if message.cause is None else str(message.cause),
        "params": dict(message.params) or None,
        "error": None if message.error is None else str(message.error),
        "attachment": None if message.attachment is None else attachment_record(message.attachment),
        "reply": None if message.reply is None else _quote_record(message.reply),
        "edited_ms": message.edited_ms or None,
        "reactions": [{"from": one.person.handle, "emoji": one.emoji} for one in message.reactions],
        "deleted_by": None if message.deleted_by is None else message.deleted_by.handle,
        "expire_s": message.expire_s or None,
        "expires_ms": message.expires_ms,
    }


def _quote_record(quote: Quote) -> dict[str, Any]:
    return {
        "mid": quote.mid.hex(),
        "from": quote.sender.handle,
        "text": quote.text,
        "here": quote.kind is not None,
        "deleted": quote.kind is api.MessageKind.DELETED,
    }


def attachment_record(attachment: Attachment) -> dict[str, Any]:
    """The file of a message. The thumbnail is left out: it is no text."""
    return {
        "name": attachment.name,
        "media": attachment.media,
        "size": attachment.size,
        "state": str(attachment.state),
        "risky": attachment.risky,
        "width": attachment.width or None,
        "height": attachment.height or None,
        "blurhash": attachment.blurhash or None,
        "saved_to": attachment.saved_to,
    }


def transfer_record(transfer: Transfer) -> dict[str, Any]:
    """How far a file is."""
    return {
        "type": "progress",
        "chat": transfer.chat_id.hex(),
        "mid": transfer.mid.hex(),
        "direction": str(transfer.direction),
        "done": transfer.done,
        "total": transfer.total,
    }


def chat_record(chat: ChatView) -> dict[str, Any]:
    """A chat."""
    return {
        "type": "chat",
        "chat": chat.chat_id.hex(),
        "kind": str(chat.kind),
        "peer": None if chat.peer is None else chat.peer.handle,
        "name": chat.name,
        "accepted": chat.accepted,
        "unread": chat.unread,
        "identity_changed": chat.identity_changed,
        "gone": chat.gone,
        "note_to_self": chat.note_to_self,
        "activity_ms": chat.activity_ms,
        "last": None if chat.last is None else message_record(chat.last),
        "group": None if chat.group is None else group_record(chat.group),
        "blocked": chat.blocked,
        "muted_until_ms": chat.muted_until_ms,
    }


def group_record(group: GroupView) -> dict[str, Any]:
    """What is particular to a group. `role` is null for who is not in it."""
    return {
        "name": group.name,
        "description": group.description,
        "members": group.members,
        "role": None if group.role is None else str(group.role),
        "closed": None if group.closed is None else str(group.closed),
        "superseded_by": None if group.superseded_by is None else group.superseded_by.hex(),
        "picture_bytes": len(group.picture),
    }


def member_record(member: MemberView) -> dict[str, Any]:
    """A member of a group."""
    return {
        "type": "member",
        "handle": member.person.handle,
        "uid": member.person.uid.hex(),
        "role": str(member.role),
        "former_identity": member.former_identity,
        "verified": member.person.trust.is_verified,
    }


def person_record(kind: str, person: Person) -> dict[str, Any]:
    """A user, and what was done about them."""
    return {"type": kind, "person": person.handle, "uid": person.uid.hex()}


def device_record(device: DeviceView) -> dict[str, Any]:
    """A device of the account."""
    return {
        "type": "device",
        "did": device.did.hex(),
        "name": device.name,
        "created_ms": device.created_ms,
        "last_seen_ms": device.last_seen_ms,
        "current": device.current,
        "is_new": device.is_new,
    }


def verification_record(state: Verification) -> dict[str, Any]:
    """Where comparing emoji with a person stands."""
    return {
        "type": "verification",
        "person": state.person.handle,
        "phase": str(state.phase),
        "emoji": [list(pair) for pair in state.emoji],
        "reason": state.reason,
        "by_me": state.by_me,
    }


def security_record(found: ContactSecurity) -> dict[str, Any]:
    """What is known of who a person is."""
    return {
        "type": "contact",
        "person": found.person.handle,
        "uid": found.person.uid.hex(),
        "trust": str(found.person.trust),
        "verified_by": None if found.verified_by is None else str(found.verified_by),
        "verified_ms": found.verified_ms,
        "sending_blocked": found.sending_blocked,
        "safety_number": found.safety_number,
        "devices": found.devices,
        "logged": found.logged,
    }


def event_record(event: Event) -> dict[str, Any] | None:  # noqa: C901, PLR0911, PLR0912 - one line for each kind
    """A line of `listen`; None for what is no news there (a chat's view, unless it is a request)."""
    match event:
        case api.MessageReceived(message):
            return message_record(message)
        case api.MessageChanged(message):
            return {"type": "changed", "message": message_record(message)}
        case api.MessageRemoved(chat_id, mid, order):
            return {"type": "removed", "chat": chat_id.hex(), "mid": mid.hex(), "order": order}
        case api.TransferProgress(transfer):
            return transfer_record(transfer)
        case api.ChangeSent(chat_id, mid):
            return {"type": "change_sent", "chat": chat_id.hex(), "mid": mid.hex()}
        case api.ChangeFailed(chat_id, mid, code):
            return {"type": "change_failed", "chat": chat_id.hex(), "mid": mid.hex(), "code": code}
        case api.ChatChanged(chat):
            is_request = not chat.accepted
            return {"type": "request", "chat": chat.chat_id.hex(), "from": chat.name} if is_request else None
        case api.TypingChanged(chat_id, person, typing):
            return {"type": "typing", "chat": chat_id.hex(), "from": person.handle, "typing": typing}
        case api.ConnectionChanged(phase, retry_at_ms, code, pending):
            return {
                "type": "connection",
                "phase": str(phase),
                "retry_at_ms": retry_at_ms,
                "code": None if code is None else str(code),
                "pending": pending,
            }
        case api.IdentityChanged(chat_id, person, blocked):
            return {"type": "identity", "chat": chat_id.hex(), "from": person.handle, "blocked": blocked}
        case api.DeviceListChanged(devices, added, removed):
            return {
                "type": "devices",
                "devices": [device_record(device) for device in devices],
                "added": [device.did.hex() for device in added],
                "removed": [did.hex() for did in removed],
            }
        case api.DeviceLinked(device):
            return {"type": "device_linked", "did": device.did.hex(), "name": device.name}
        case api.SecurityWarning(code, chat_id, params):
            chat_hex = None if chat_id is None else chat_id.hex()
            return {"type": "security", "code": code, "chat": chat_hex, "params": dict(params)}
        case api.VerificationChanged(verification):
            return verification_record(verification)
        case api.TrustChanged(chat_id, person):
            chat_hex = None if chat_id is None else chat_id.hex()
            return {"type": "trust", "chat": chat_hex, "person": person.handle, "trust": str(person.trust)}
        case api.EventsLost(count):
            return {"type": "lost", "count": count}
        case _:
            return _backup_record(event)


def _backup_record(event: api.Event) -> dict[str, Any] | None:
    match event:
        case api.RestoreProgress(done, total):
            return {"type": "restoring", "done": done, "total": total}
        case api.HistoryRestored(restored, missing, refused):
            return {"type": "history_restored", "restored": restored, "missing": missing, "refused": refused}
        case api.PresenceChanged(person, here):
            return {"type": "presence", "from": person.handle, "here": here}
        case api.PrivacyChanged(settings):
            return privacy_record(settings)
        case api.ProfileChanged(person, profile):
            return profile_record(person.handle, profile)
        case api.SettingChanged(key, value):
            return {"type": "setting", "key": key, "removed": not value}
        case _:
            return None


def privacy_record(settings: api.PrivacySettings) -> dict[str, Any]:
    """What others are let notice."""
    return {
        "type": "privacy",
        "read_receipts": settings.read_receipts,
        "typing": settings.typing,
        "presence": settings.presence,
    }


def profile_record(handle: str, profile: api.UserProfile) -> dict[str, Any]:
    """What somebody tells about themselves. The picture is left out: it is no text."""
    return {
        "type": "profile",
        "of": handle,
        "name": profile.name,
        "status": profile.status,
        "picture_bytes": len(profile.picture),
    }
