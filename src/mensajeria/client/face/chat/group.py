"""A group: who is in it, in which role, and what it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mensajeria.client.account import check_handle_form
from mensajeria.client.api import GroupRole, HistoryChoice, MemberView
from mensajeria.client.engine.identity_moves import under_former_identity
from mensajeria.client.face.chat.base import ChatFace
from mensajeria.client.store import Tx
from mensajeria.client.store.views import members_of
from mensajeria.client.transfer.pictures import GROUP_SIDE, portrait
from mensajeria.protocol import limits
from mensajeria.protocol.membership_state import Role


class Group(ChatFace):
    """What is signed for everybody in the group, as far as the own role allows."""

    __slots__ = ()

    async def members(self) -> tuple[MemberView, ...]:
        """Who is in the chat, by role and name; in a direct chat everybody is a member."""

        def read(tx: Tx) -> tuple[MemberView, ...]:
            chat = self._stored(tx)
            members = members_of(tx, chat, self._context.me.uid)
            if not chat.is_group:
                return members
            former = under_former_identity(tx, self._context.memberships.of(tx, self.chat_id).now)
            return tuple(replace(one, former_identity=one.person.uid in former) for one in members)

        return await self._context.store.read(read)

    async def add(self, usernames: Sequence[str], *, history: HistoryChoice = HistoryChoice.NOTHING) -> None:
        """Add people to the group: they read what is written from now on, and what was before as `history` says.

        All members are told how much of the past the new ones may read. It is what this device can read itself.

        Raises InputError (already_member, group_full, not_a_group), StateError (not_allowed_in_group, not_a_member,
        group_busy), RefusedError (unknown_user, request_limit), NetworkError, SecurityError.
        """
        await self._engine.groups.add(self.chat_id, [check_handle_form(username) for username in usernames], history)

    async def remove(self, username: str) -> None:
        """Remove a member: what is written from now on they cannot read.

        Raises InputError (no_such_member, not_a_group), StateError (not_allowed_in_group, not_a_member, group_busy),
        RefusedError, NetworkError.
        """
        await self._engine.groups.remove(self.chat_id, check_handle_form(username))

    async def leave(self) -> None:
        """Leave the group. Nothing is sent into it from now on, even while the server cannot be told.

        Raises InputError (not_a_group), StateError (owner_stays: hand over first; not_a_member).
        """
        await self._engine.groups.leave(self.chat_id)

    async def set_role(self, username: str, role: GroupRole) -> None:
        """Give a member another role; `owner` hands the group over. Raises as `remove`."""
        await self._engine.groups.set_role(self.chat_id, check_handle_form(username), Role(role.value))

    async def rename(self, name: str | None = None, description: str | None = None) -> None:
        """Give the group another name, description or both. Raises as `remove`, and InputError (name_invalid)."""
        await self._engine.groups.rename(self.chat_id, name, description)

    async def set_picture(self, picture: Path | None) -> None:
        """Give the group a picture, of which the middle square is kept; None takes it away.

        Raises as `remove`, and InputError (image_invalid, image_too_large, file_unreadable).
        """
        data = (
            b""
            if picture is None
            else await asyncio.to_thread(portrait, picture, GROUP_SIDE, limits.GROUP_PICTURE_BYTES)
        )
        await self._engine.groups.rename(self.chat_id, None, None, data)
