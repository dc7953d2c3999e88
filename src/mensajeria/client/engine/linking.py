"""Linking: this device has shown a code, or it was linked by one and owes the proof that it has read it."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Final

import msgspec

from mensajeria.client.api import DeviceLinked
from mensajeria.client.engine import new_devices
from mensajeria.client.engine.context import Context
from mensajeria.client.engine.directory import own_devices
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.mailer import Mailer
from mensajeria.client.engine.session import Session
from mensajeria.client.errors import ClientError, InputError
from mensajeria.client.store import Tx
from mensajeria.crypto.linking import MAX_CHARS, VALID_MS, LinkCodeError, is_proof, new_code, parse_code, prove
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import U63, Did, Uid
from mensajeria.protocol.records import Record, ToDevice
from mensajeria.protocol.records_healing import LinkCode, LinkProof

_log = logging.getLogger(__name__)
LINK_PROOF: Final = "link_proof"
_OFFER: Final = "link_offer"
"""Name among the own keys: the code that this device shows."""
_OWED: Final = "link_owed"
"""Name among the own keys: the code by which this device was linked, until its proof has left."""


class _Offer(Record, frozen=True, kw_only=True):
    code: Annotated[bytes, msgspec.Meta(max_length=MAX_CHARS)]
    expires: U63


def parse_link(text: Secret | str) -> LinkCode:
    """A code as a person gave it. Raises InputError (link_code_invalid)."""
    try:
        return parse_code(text.reveal_text() if isinstance(text, Secret) else text)
    except LinkCodeError as error:
        raise InputError("link_code_invalid") from error


def offer(tx: Tx, context: Context, url: str) -> tuple[LinkCode, int]:
    """A new code, in place of an earlier one, and until when it is valid."""
    me = context.me
    contact = me.contact(tx)
    code = new_code(url=url, server_id=me.server_id, handle=me.handle, uid=me.uid, idfp=contact.idfp, did=me.did)
    expires = me.clock.now_ms() + VALID_MS
    tx.own.put(_OFFER, Secret(encode(_Offer(code=encode(code), expires=expires))))
    return code, expires


def owe_proof(tx: Tx, code: LinkCode) -> None:
    """This device was linked by the code: its proof leaves with the first connection."""
    tx.own.put(_OWED, Secret(encode(code)))


class Linking:
    """Takes proofs, and sends the own one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.sent = asyncio.Event()
        """No proof is owed (any more)."""
        context.envelopes.register(LINK_PROOF, self._proved)

    async def send_owed(self, session: Session, mailer: Mailer) -> None:
        """Send the proof that is owed, if any; what fails is tried on the next connection."""
        letter = await self._context.store.read(self._owed)
        if letter is None:
            self.sent.set()
            return
        try:
            await mailer.deliver(session, [letter])
        except ClientError as error:
            _log.info("the proof of linking waits: %s", error.code)
            return
        await self._context.store.run(lambda tx: tx.own.remove(_OWED))
        self.sent.set()

    def _owed(self, tx: Tx) -> Letter | None:
        owed, me = tx.own.get(_OWED), self._context.me
        listed = me.verified(tx).find(me.did)
        if owed is None or listed is None:
            return None
        code = decode_record(LinkCode, owed.reveal())
        return Letter(me.uid, Did(code.did), LINK_PROOF, encode(prove(code, listed)))

    def _proved(self, tx: Tx, out: Mail, uid: Uid, did: Did, letter: ToDevice) -> None:
        """One try for each code: after a wrong proof it is void."""
        proof, me = decode_record(LinkProof, letter.c), self._context.me
        stored = tx.own.get(_OFFER)
        if stored is None or uid != me.uid:
            return
        shown, now = decode_record(_Offer, stored.reveal()), me.clock.now_ms()
        tx.own.remove(_OFFER)
        listed = me.verified(tx).find(did)
        if listed is None or now > shown.expires or not is_proof(decode_record(LinkCode, shown.code), listed, proof):
            out.warn(tx, "link_refused", now)
            return
        new_devices.confirm(tx, did)
        views = own_devices(me.verified(tx), me.did, self._context.device_names, new_devices.unconfirmed(tx))
        out.events.extend(DeviceLinked(view) for view in views if view.did == did)
