"""A row that Bruno was shown altered, and everybody who is asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from mensajeria.client.api import Cause
from mensajeria.client.engine.acks import acknowledge
from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.letters import Letter
from mensajeria.client.engine.resending import (
    REQUEST,
    RESEND,
    Resender,
)
from mensajeria.client.store import Tx
from mensajeria.client.store.resends import Hole
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import Did, Mid, SessionId
from mensajeria.protocol.records_healing import Resend, ResendRequest
from tests.client.engine.healing_scene import Scene, made
from tests.client.engine.stations import Station
from tests.crypto.people import NOW

TEXTS = ("uno", "dos", "tres")


@dataclass
class Loss(Scene):
    """Ana's laptop has written three rows. Bruno was shown the second one altered, and has what he shall ask her."""

    resenders: dict[Did, Resender]
    rows: Sequence[bytes] = ()
    letters: Sequence[Letter] = ()

    @property
    def session(self) -> SessionId:
        return SessionId(decode_outer(self.rows[1]).session_id)

    @property
    def request(self) -> bytes:
        return self.request_for(1)

    def request_for(self, idx: int) -> bytes:
        return encode(ResendRequest(chat_id=self.chat, session_id=self.session, idx=idx))

    @property
    def resend(self) -> bytes:
        return encode(Resend(chat_id=self.chat, row=self.rows[1]))

    async def due(self, desk: Station) -> list[Letter]:
        return await desk.do(lambda tx, _: self.resenders[desk.me.did].questions(tx))

    async def asked(self, content: bytes, by: Station | None = None) -> list[Letter]:
        """What Ana's laptop gives when it is asked."""
        mail = await hear(self.ana, by or self.bruno, REQUEST, content)
        return mail.answers

    async def gets(self, content: bytes, by: Station | None = None) -> Sequence[str]:
        """What Bruno sees after a device has handed him this."""
        await hear(self.bruno, by or self.ana, RESEND, content)
        return await self.bruno.texts(self.chat)

    async def hole(self) -> Hole | None:
        return await self.bruno.store.read(lambda tx: tx.holes.get(self.chat, self.session, 1))


async def hear(desk: Station, by: Station, kind: str, content: bytes) -> Mail:
    return await desk.take(by, Letter(desk.me.uid, desk.me.did, kind, content))


def altered(row: bytes) -> bytes:
    outer = decode_outer(row)
    return encode(with_fields(outer, ct=outer.ct[:-1] + bytes([outer.ct[-1] ^ 1])))


@pytest.fixture
async def loss(tmp_path: Path) -> AsyncIterator[Loss]:
    async with made(tmp_path) as scene:
        desks = (scene.ana, scene.ana_phone, scene.bruno, scene.bruno_phone)
        resenders = {one.me.did: Resender(one.me, one.reader, one.rows, one.healer) for one in desks}
        loss = Loss(**vars(scene), resenders=resenders)
        await lose(loss)
        yield loss


async def key_comes(loss: Loss, to: Station, letters: Sequence[Letter]) -> None:
    for letter in letters:
        if letter.did == to.me.did:
            await to.take(loss.ana, letter)


async def lose(loss: Loss) -> None:
    ana, bruno = loss.ana, loss.bruno
    loss.rows, letters = await ana.write(loss.chat, *TEXTS)
    mids = [Mid(decode_outer(row).mid) for row in loss.rows]

    def stored(tx: Tx, out: Mail) -> None:
        for seq, mid in enumerate(mids, 1):
            acknowledge(tx, out, ana.me, loss.chat, mid, seq, NOW)

    await ana.do(stored)
    loss.letters = letters
    await key_comes(loss, bruno, letters)
    await bruno.read(loss.chat, 1, [loss.rows[0], altered(loss.rows[1])])
    assert await bruno.texts(loss.chat) == ["uno", f"<{Cause.TAMPERED.value}>"]
