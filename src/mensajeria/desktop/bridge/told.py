"""The client's values about groups, people and the account as the windows want them. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mensajeria.client.api import Trust
from mensajeria.desktop.bridge.mapping import person
from mensajeria.desktop.viewmodels import asking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from mensajeria.client import api

_COUNTS: Final = (
    "waiting", "held", "lost", "tampered", "sessions_missing", "envelopes_failed", "pairs_renewed", "chats_to_tell",
    "new_devices",
)  # fmt: skip
TIMELINE_LINES: Final = 100
"""Newest lines of a security timeline that a window shows."""


def person_info(value: api.ContactSecurity, code: tuple[tuple[bool, ...], ...] = ()) -> asking.PersonInfo:
    """What is known of who a person is."""
    return asking.PersonInfo(
        person=person(value.person),
        number=value.safety_number,
        verified_by=str(value.verified_by.value) if value.verified_by is not None else "",
        verified_ms=value.verified_ms,
        changed=value.person.trust is Trust.CHANGED,
        devices=value.devices,
        logged=value.logged,
        code=code,
    )


def chat_info(
    view: api.ChatView,
    members: Sequence[api.MemberView],
    timeline: Sequence[api.SecurityEntry],
    info: asking.PersonInfo | None,
    me: api.Person,
    blocked: AbstractSet[bytes] = frozenset(),
) -> asking.ChatInfo:
    """What the info panel shows."""
    group = view.group
    return asking.ChatInfo(
        chat_id=view.chat_id.hex(),
        members=tuple(
            asking.Member(
                person(one.person),
                one.role.value,
                me=one.person.uid == me.uid,
                blocked=one.person.uid in blocked,
                former_identity=one.former_identity,
            )
            for one in members
        ),
        role=group.role.value if group is not None and group.role is not None else "",
        description=group.description if group is not None else "",
        person=info,
        timeline=tuple(_line(entry) for entry in reversed(timeline[-TIMELINE_LINES:])),
    )


def _line(entry: api.SecurityEntry) -> asking.SecurityLine:
    name = entry.person.handle if entry.person is not None else ""
    return asking.SecurityLine(entry.at_ms, entry.kind.value, MappingProxyType({"name": name, **entry.params}))


def comparison(value: api.Verification) -> asking.Comparison:
    """A comparison of emoji."""
    return asking.Comparison(person(value.person), value.phase.value, value.emoji, value.reason or "")


def devices(rows: Sequence[api.DeviceView]) -> asking.Devices:
    """The own devices."""
    return asking.Devices(
        tuple(
            asking.Device(row.did.hex(), row.name, row.created_ms, row.last_seen_ms, row.current, row.is_new)
            for row in rows
        )
    )


def backup_info(value: api.BackupStatus) -> asking.BackupInfo:
    """The backup on the server."""
    return asking.BackupInfo(
        value.version, value.current, value.saved, value.pending, value.restoring, value.used, value.quota
    )


def invites(rows: Sequence[api.InviteView]) -> asking.Invites:
    """The own invites."""
    return asking.Invites(
        tuple(asking.Invite(row.number, row.uses_left, row.expires_ms, row.state, row.joined) for row in rows)
    )


def privacy(value: api.PrivacySettings) -> asking.PrivacyIs:
    """What others are let notice."""
    return asking.PrivacyIs(value.read_receipts, value.typing, value.presence)


def health_info(value: api.Health) -> asking.HealthInfo:
    """Numbers that are not zero."""
    counts = [(name, int(getattr(value, name))) for name in _COUNTS]
    counts.append(("rolled_back", int(value.rolled_back)))
    counts += [(f"healed_{source}", count) for source, count in sorted(value.healed.items())]
    return asking.HealthInfo(value.is_well, tuple((name, count) for name, count in counts if count))
