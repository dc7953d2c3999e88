"""Trust by invite: who came by a link proves it to who made it, and both know whom they have before they write."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mensajeria.client.api import VerificationMethod
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import Directory
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter, devices_of
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.engine.people import list_of
from mensajeria.client.errors import ClientError, RefusedError
from mensajeria.client.store import Tx
from mensajeria.client.store.trust import Inviter
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import ChatId, Did, Uid
from mensajeria.protocol.links import invite_mac
from mensajeria.protocol.membership import direct_chat_id
from mensajeria.protocol.records import ToDevice
from mensajeria.protocol.records_trust import INVITE_PROOF, InviteProof

_log = logging.getLogger(__name__)
AGAIN_S: Final = 60.0
_MAX_PROOF: Final = 256
Deliver = Callable[[Sequence[Letter]], Awaitable[None]]


class Welcoming:
    """Both ends of a link. What is to be done is stored, and done beside a connection until it is."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self.due = asyncio.Event()
        context.envelopes.register(INVITE_PROOF, self._proven)

    async def run(self, deliver: Deliver) -> None:
        """Do what is to be done, until cancelled."""
        self.due.set()
        while True:
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self.due.wait()
            except TimeoutError:
                pass
            self.due.clear()
            try:
                await self._work(deliver)
            except ClientError as error:
                _log.info("an invite waits: %s", error.code)

    async def _work(self, deliver: Deliver) -> None:
        for inviter in await self._context.store.read(lambda tx: tx.trust.open_inviters()):
            await self._thank(inviter, deliver)
        for chat_id in await self._context.store.read(lambda tx: tx.trust.welcomes()):
            await self._context.rest.chats.answer(chat_id, accept=True)
            await self._context.store.run(lambda tx: tx.trust.remove_welcome(chat_id))  # noqa: B023 - run at once

    # --- who came by a link ---

    async def _thank(self, inviter: Inviter, deliver: Deliver) -> None:
        """The inviter's keys must be the link's; then their chat is there, and they get the proof."""
        me = self._context.me
        try:
            contact = await self._directory.refresh(inviter.uid)
        except RefusedError as error:
            if error.code == Code.UNKNOWN_USER:  # the account was deleted meanwhile
                await self._context.store.run(lambda tx: tx.trust.close_inviter(inviter.uid))
            raise
        if contact.idfp != inviter.idfp:
            await self._context.commit(lambda tx, out: self._mismatch(tx, out, inviter, contact.handle))
            return
        chat_id = ChatId(direct_chat_id(me.server_id, me.uid, inviter.uid))
        await self._context.rest.chats.open_direct(chat_id, inviter.uid)
        letters = await self._context.commit(lambda tx, out: self._meet(tx, out, chat_id, inviter))
        await deliver(letters)
        await self._context.store.run(lambda tx: tx.trust.close_inviter(inviter.uid))

    def _mismatch(self, tx: Tx, out: Outcome, inviter: Inviter, handle: str) -> None:
        """The server shows another identity than the link: it stays a stranger's."""
        out.warn(tx, "invite_identity", self._context.me.clock.now_ms(), None, handle=handle)
        tx.trust.close_inviter(inviter.uid)

    def _meet(self, tx: Tx, out: Outcome, chat_id: ChatId, inviter: Inviter) -> list[Letter]:
        me = self._context.me
        now = me.clock.now_ms()
        tx.chats.ensure_direct(chat_id, inviter.uid, accepted=True, note_to_self=False, now_ms=now)
        out.touched.add(chat_id)
        self._context.marks.verify(tx, out, inviter.uid, inviter.idfp, VerificationMethod.INVITE)
        mac = invite_mac(inviter.secret.reveal(), invitee=me.contact(tx).idfp, inviter=inviter.idfp)
        content = encode(InviteProof(invite=inviter.invite, mac=mac))
        theirs = list_of(tx, inviter.uid)
        assert theirs is not None, "it was just fetched"
        return [Letter(uid, did, INVITE_PROOF, content) for uid, did in devices_of([theirs], but=me.did)]

    # --- who made it ---

    def _proven(self, tx: Tx, out: Mail, uid: Uid, _did: Did, letter: ToDevice) -> None:
        """In the store's thread. The link was made on one device: the others ignore what they cannot judge."""
        me, now = self._context.me, self._context.me.clock.now_ms()
        proof = decode_record(InviteProof, letter.c, max_size=_MAX_PROOF)
        issued = tx.trust.issued(proof.invite, now)
        if issued is None or uid == me.uid or tx.trust.verified(uid, letter.sender.idfp) is not None:
            return
        expected = invite_mac(issued.secret.reveal(), invitee=letter.sender.idfp, inviter=me.contact(tx).idfp)
        if not hmac.compare_digest(expected, proof.mac):
            out.warn(tx, "invite_proof_false", now, None, handle=tx.contacts.person(uid).handle)
            return
        tx.trust.use_issued(proof.invite)
        chat_id = ChatId(direct_chat_id(me.server_id, me.uid, uid))
        tx.chats.ensure_direct(chat_id, uid, accepted=True, note_to_self=False, now_ms=now)
        self._context.marks.answered(tx, out, chat_id, accepted=True)
        tx.trust.put_welcome(chat_id)
        self._context.marks.verify(tx, out, uid, letter.sender.idfp, VerificationMethod.INVITE)
        out.after.append(self.due.set)
