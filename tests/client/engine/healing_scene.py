"""Ana's and Bruno's devices, of which some lack a session's key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import pytest

from mensajeria.client.engine.envelopes import Mail
from mensajeria.client.engine.healing import FORWARDED
from mensajeria.client.engine.letters import Letter
from mensajeria.client.store import Tx
from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.message import decode_outer
from mensajeria.protocol.decoding import decode_record
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.ids import ChatId, Did, SessionId, Uid
from mensajeria.protocol.records import KeyRequest
from mensajeria.protocol.records_healing import ForwardedKey
from tests.client.engine.stations import Station, chat_of, station
from tests.crypto.people import Person


@dataclass
class Scene:
    """Ana's laptop and phone, Bruno's laptop and phone, and Eva, who is in none of their chats."""

    ana: Station
    ana_phone: Station
    bruno: Station
    bruno_phone: Station
    eva: Person
    chat: ChatId


@cache
def _made_with_phone(handle: str) -> tuple[Person, DeviceKeys]:
    person = Person(handle)
    return person, person.add_device()


def _with_phone(handle: str) -> tuple[Person, DeviceKeys]:
    """Somebody with a laptop and a phone: their keys are made once, every test changes a copy."""
    person, phone = _made_with_phone(handle)
    return person.copy(), DeviceKeys.load(phone.dump())


@cache
def _eva() -> Person:
    return Person("eva")


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[Scene]:
    """Everybody's devices, and the chat."""
    (ana, ana_phone), (bruno, bruno_phone), eva = _with_phone("ana"), _with_phone("bruno"), _eva().copy()
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(station(person, device, [other, eva], folder))
            for person, device, other in (
                (ana, ana.device, bruno),
                (ana, ana_phone, bruno),
                (bruno, bruno.device, ana),
                (bruno, bruno_phone, ana),
            )
        ]
        laptop, phone, other_laptop, other_phone = opened
        yield Scene(laptop, phone, other_laptop, other_phone, eva, chat_of(ana, bruno))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with made(tmp_path) as everybody:
        yield everybody


async def written(scene: Scene, *texts: str) -> tuple[list[bytes], dict[Did, Letter]]:
    """Ana's laptop writes; the rows, and the letters with the key by device."""
    rows, letters = await scene.ana.write(scene.chat, *texts)
    return rows, {letter.did: letter for letter in letters}


def session_of(row: bytes) -> SessionId:
    return SessionId(decode_outer(row).session_id)


async def due(desk: Station) -> list[Letter]:
    """The letters of the next step of every open question."""

    def step(tx: Tx, _: Mail) -> list[Letter]:
        return [letter for request in tx.requests.all() for letter in desk.healer.questions(tx, request)]

    return await desk.do(step)


async def ask(asked: Station, by: tuple[Uid, Did], session_id: SessionId, chat: ChatId, index: int = 0) -> list[Letter]:
    question = KeyRequest(chat_id=chat, session_id=session_id, uid=asked.me.uid, did=asked.me.did, index=index)
    return await asked.do(lambda tx, _: asked.healer.answer(tx, *by, question))


async def forwarded_from(holder: Station, to: Station, chat: ChatId, session_id: SessionId) -> ForwardedKey:
    (letter,) = await ask(holder, to.address, session_id, chat)
    assert letter.type == FORWARDED
    return decode_record(ForwardedKey, letter.content)


def as_letter(to: Station, kind: str, record: msgspec.Struct) -> Letter:
    return Letter(to.me.uid, to.me.did, kind, encode(record))
