"""Other people: who they are, what they tell of themselves, blocking and reporting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mensajeria.client.account import check_handle_form
from mensajeria.client.api import Person, Report, UserProfile
from mensajeria.client.engine.reporting import draft
from mensajeria.client.errors import InputError
from mensajeria.client.face.base import Face
from mensajeria.client.security import Security
from mensajeria.protocol.ids import ChatId, Mid, Uid


class People(Face):
    """Other people, by user name."""

    @property
    def security(self) -> Security:
        """Making sure of people."""
        return self._running.security

    async def find_person(self, username: str) -> Person:
        """Who has this name on the server; nothing is begun with them.

        Raises InputError (handle_invalid), RefusedError (unknown_user), NetworkError, SecurityError.
        """
        handle, me = check_handle_form(username), self._context.me
        if handle == me.handle:
            return self.me
        contact = await self._engine.directory.by_handle(handle)
        return Person(contact.uid, contact.handle, contact.trust)

    @property
    def here(self) -> frozenset[Uid]:
        """The contacts that show that they are connected; empty unless one shows oneself."""
        return self._context.presence.here

    async def profile_of(self, username: str) -> UserProfile | None:
        """What somebody tells about themselves; None: nothing that is here. Offline for contacts; raises as `block`."""
        return await self._engine.profiles.of((await self._named(username)).uid)

    async def profiles(self) -> Mapping[Uid, UserProfile]:
        """Every profile that is here, one's own too. See `UserProfile` for what a name is worth."""
        return await self._engine.profiles.shown()

    # --- blocks and reports ---

    async def block(self, username: str) -> Person:
        """Block somebody, for all devices of the account; they are not told.

        The server lets nothing pass between the two any more, except the keys of groups that both are in: there their
        messages still arrive, and are not shown (Cause.BLOCKED). Needs the network.

        Raises InputError (handle_invalid, own_account), RefusedError (unknown_user, quota_exceeded), NetworkError,
        SecurityError.
        """
        person = await self._named(username)
        await self._engine.blocking.block(person.uid)
        return person

    async def unblock(self, username: str) -> Person:
        """Take a block back; none is no error. What was refused meanwhile does not come back. Raises as `block`."""
        handle = check_handle_form(username)
        blocked = {person.handle: person for person in await self.blocked()}
        person = blocked.get(handle) or await self._named(handle)
        await self._engine.blocking.unblock(person.uid)
        return person

    async def blocked(self) -> tuple[Person, ...]:
        """Whom the account has blocked, by name. Works offline."""
        return await self._engine.blocking.blocked()

    async def draft_report(
        self, username: str, words: str, *, chat_id: bytes | None = None, messages: Sequence[Mid] = ()
    ) -> Report:
        """What the operator would be told about somebody: the words, and the chosen messages of theirs in a chat.

        Nothing is sent: show it to the person, then `send_report`.

        Raises InputError (handle_invalid, own_account, empty_text, malformed_text, report_too_long, unknown_chat,
        unknown_message), RefusedError (unknown_user), NetworkError, SecurityError.
        """
        person, chat = await self._named(username), None if chat_id is None else ChatId(chat_id)
        return await self._context.store.read(lambda tx: draft(tx, person, words, chat, messages))

    async def send_report(self, report: Report) -> int:
        """Tell the operator exactly this; the number under which they know it. Raises RefusedError, NetworkError."""
        return await self._context.rest.users.report(report.person.uid, report.text, report.chat_id)

    async def _named(self, username: str) -> Person:
        handle = check_handle_form(username)
        if handle == self.me.handle:
            raise InputError("own_account")
        return await self._engine.blocking.person(handle)
