"""Making sure of people, behind `Client.security`: comparing emoji, codes and numbers; what is known of a contact."""

from __future__ import annotations

import os
import re
from typing import Final

from mensajeria.client.account import check_handle_form
from mensajeria.client.api import ContactSecurity, SecurityEntry, Verification, VerificationMethod
from mensajeria.client.audit import AuditFile, AuditReport, audit
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.engine import Engine
from mensajeria.client.engine.keylog.gossip import is_same_log, newest_root
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.trust import number_with, security_of, timeline
from mensajeria.client.errors import ClientError, InputError, SecurityError
from mensajeria.client.store import Tx
from mensajeria.client.store.values import Contact
from mensajeria.crypto.safety import DIGITS
from mensajeria.protocol.ids import ChatId, Uid
from mensajeria.protocol.links import CODE_PREFIX, LinkError, NewerLinkError, code_text, parse_code
from mensajeria.protocol.records_trust import VerificationCode

_NOT_DIGITS: Final = re.compile(r"[\s.,-]+")


class Security:
    """Methods take a user name. They raise InputError (unknown_user) for people that this client has not met."""

    def __init__(self, context: Context, engine: Engine) -> None:
        self._context = context
        self._engine = engine

    # --- comparing emoji ---

    async def start(self, username: str) -> Verification:
        """Ask the person to compare emoji, or answer when they have asked. Steps come as `VerificationChanged`.

        Raises StateError (verification_running, no_chat), NetworkError, RefusedError, SecurityError.
        """
        return await self._engine.verifier.start(await self._uid(username))

    async def confirm(self, username: str) -> Verification:
        """The emoji are the same on both sides. Raises StateError (no_verification)."""
        return await self._engine.verifier.confirm(await self._uid(username))

    async def cancel(self, username: str, *, mismatch: bool = False) -> Verification:
        """End the comparison, or decline theirs. `mismatch`: the emoji were not the same. Raises as `confirm`."""
        return await self._engine.verifier.cancel(await self._uid(username), mismatch=mismatch)

    async def state(self, username: str) -> Verification | None:
        """Where the comparison stands; None when there is none."""
        return await self._engine.verifier.state(await self._uid(username))

    async def settled(self) -> None:
        """Wait until what was said last has left this device: before closing. Needs a connection."""
        await self._engine.verifier.settled()

    # --- codes and numbers ---

    async def code(self) -> str:
        """The text of this account's QR code."""

        def make(tx: Tx) -> VerificationCode:
            me = self._context.me
            own = me.contact(tx)
            size, root = newest_root(tx)
            return VerificationCode(
                server_id=me.server_id, uid=me.uid, idfp=own.idfp, nonce=os.urandom(16), size=size, root=root
            )

        return code_text(await self._context.store.read(make))

    async def check(self, username: str, text: str) -> VerificationMethod:
        """Verify the person by what they have shown: their code's text, or the safety number.

        Raises:
            SecurityError: verification_mismatch: not of this person, server or identity. Nothing was changed.
            InputError: code_invalid: neither a code nor a number.
        """
        uid = await self._uid(username)

        def step(tx: Tx, out: Outcome) -> VerificationMethod:
            contact = self._known(tx, uid)
            method, code = self._compare(tx, contact, text)
            self._context.marks.verify(tx, out, uid, contact.idfp, method)
            if code is not None and not is_same_log(tx, code.size, code.root):
                out.warn(tx, "key_log_forked", self._context.me.clock.now_ms(), None, handle=contact.handle)
            return method

        method = await self._context.commit(step)
        await self._wake(uid)
        return method

    def _compare(self, tx: Tx, contact: Contact, text: str) -> tuple[VerificationMethod, VerificationCode | None]:
        code = None
        if text.strip().startswith(CODE_PREFIX):
            try:
                code = parse_code(text)
            except NewerLinkError as error:
                raise ClientError("newer_version") from error
            except LinkError as error:
                raise InputError("code_invalid") from error
            same = (code.server_id, code.uid, code.idfp) == (self._context.me.server_id, contact.uid, contact.idfp)
            method = VerificationMethod.CODE
        else:
            digits = _NOT_DIGITS.sub("", text)
            if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
                raise InputError("code_invalid")
            same = digits == number_with(tx, self._context.me, contact).replace(" ", "")
            method = VerificationMethod.NUMBER
        if not same:
            raise SecurityError("verification_mismatch", params={"handle": contact.handle})
        return method, code

    async def accept(self, username: str) -> bool:
        """Go on with the person's changed identity, unverified, in every chat; whether it had changed."""
        uid = await self._uid(username)
        changed = await self._context.commit(lambda tx, out: self._context.marks.accept(tx, out, uid))
        for chat_id in await self._context.store.read(lambda tx: tx.chats.with_member(uid)):
            self._engine.sending.wake(chat_id)
        return changed

    async def withdraw(self, username: str) -> bool:
        """The person is not taken for verified any more; whether they were."""
        uid = await self._uid(username)
        return await self._context.commit(lambda tx, out: self._context.marks.withdraw(tx, out, uid))

    # --- what is known ---

    async def of(self, username: str) -> ContactSecurity:
        """What is known of who the person is."""
        uid = await self._uid(username)
        me = self._context.me
        contact = await self._context.store.read(lambda tx: self._known(tx, uid))
        logged = await self._engine.key_log.is_logged(contact)
        return await self._context.store.read(lambda tx: security_of(tx, me, contact, logged=logged))

    async def timeline(self, chat_id: ChatId) -> tuple[SecurityEntry, ...]:
        """`Chat.security_timeline`."""

        def read(tx: Tx) -> tuple[SecurityEntry, ...]:
            if tx.chats.get(chat_id) is None:
                raise InputError("unknown_chat")
            chain = self._context.memberships.of(tx, chat_id)
            members = chain.now.members if chain.states else ()  # of a group before its first event
            return timeline(tx, chat_id, [Uid(uid) for uid in members])

        return await self._context.store.read(read)

    async def look_at_log(self) -> bool:
        """Check everything against the key log now, as is done every hour; whether it is honest as far as one can see.

        What is not comes as `SecurityWarning`. Raises NetworkError, RefusedError.
        """
        return await self._engine.key_log.look()

    async def audit(self, state: AuditFile | None, others: list[AuditFile]) -> tuple[AuditReport, AuditFile]:
        """Read the whole key log; see `mensajeria.client.audit.audit`."""
        return await audit(self._context, self._engine.key_log, state, others)

    async def _uid(self, username: str) -> Uid:
        handle = check_handle_form(username)
        contact = await self._context.store.read(lambda tx: tx.contacts.by_handle(handle))
        if contact is None:
            raise InputError("unknown_user")
        return contact.uid

    @staticmethod
    def _known(tx: Tx, uid: Uid) -> Contact:
        contact = tx.contacts.get(uid)
        if contact is None:
            raise InputError("unknown_user")
        return contact

    async def _wake(self, uid: Uid) -> None:
        """What waited for the person's decision may go out now."""
        for chat_id in await self._context.store.read(lambda tx: tx.chats.with_peer(uid)):
            self._engine.sending.wake(chat_id)
