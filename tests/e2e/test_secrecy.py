"""Canaries: plaintext, passwords and private keys are in no file of the server or the profile, no log and no frame."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from mensajeria.client import Client
from mensajeria.client.store import Tx
from mensajeria.client.transport.websocket import WebSocket
from tests.e2e.conftest import PASSWORDS, ServerProcess
from tests.e2e.helpers import befriend, eventually, texts

pytestmark = pytest.mark.slow
CANARY = "ornitorrinco-veinticuatro-quilates"


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as somebody may have written it down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for skip in range(3):  # base64 of a longer text that holds the secret, at any alignment
        part = secret[skip : skip + (len(secret) - skip) // 3 * 3]
        yield base64.b64encode(part)
        yield base64.urlsafe_b64encode(part)
    try:
        yield secret.decode().encode("utf-16-le")
        yield secret.decode().encode("utf-16-be")
    except UnicodeDecodeError:
        pass


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def private_keys(tx: Tx) -> dict[str, bytes]:
    names = ("device", "settings_key", "backup_key", "channel_key", "token_access", "token_refresh")
    found = {name: key.reveal() for name in names if (key := tx.own.get(name)) is not None}
    assert len(found) == len(names)
    return found


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every WebSocket message of the test's clients, both ways."""
    seen: list[bytes] = []
    send, push = WebSocket.send, WebSocket._push

    def spy_send(self: WebSocket, data: bytes) -> None:
        seen.append(data)
        send(self, data)

    def spy_push(self: WebSocket, data: bytes) -> None:
        seen.append(data)
        push(self, data)

    monkeypatch.setattr(WebSocket, "send", spy_send)
    monkeypatch.setattr(WebSocket, "_push", spy_push)
    return seen


async def test_secrets_are_nowhere(empty_server: ServerProcess, tmp_path: Path, wire: list[bytes]) -> None:
    server = empty_server
    bruno = await Client.register(
        server.url, "bruno", PASSWORDS["bruno"], profile=tmp_path / "bruno", insecure_key_file=True
    )
    ana = await Client.register(
        server.url, "ana", PASSWORDS["ana"], profile=tmp_path / "ana", passphrase="frase del perfil 123"
    )
    async with ana, bruno:
        chat, back = await befriend(ana, bruno)
        await chat.send_text(f"{CANARY} uno")
        await back.send_text(f"{CANARY} dos")
        await chat.save_draft(f"{CANARY} tres")

        async def exchanged() -> bool:
            return len(await texts(chat)) == 4 and len(await texts(back)) == 4

        await eventually(exchanged)
        keys = await ana._opened.store.read(private_keys)
        keys["store key"] = ana._opened.vault.key.reveal()
        assert ana.recovery_code is not None
        keys["recovery code"] = ana.recovery_code.reveal()
        keys["recovery code, bare"] = keys["recovery code"].replace(b"-", b"")
        plain = {"text": CANARY.encode(), "password": PASSWORDS["ana"].encode(), "other": PASSWORDS["bruno"].encode()}
        plain["passphrase"] = b"frase del perfil 123"
    server.stop()
    assert wire
    token = keys.pop("token_access"), keys.pop("token_refresh")
    _assert_absent({**plain, **keys, "access": token[0], "refresh": token[1]}, "server", files(server.folder))
    _assert_absent(
        {**plain, **keys, "access": token[0], "refresh": token[1]}, "log", [(server.log, server.log.read_bytes())]
    )
    _assert_absent({**plain, **keys}, "wire", [(Path("frame"), data) for data in wire])
    _assert_absent({**plain, **keys}, "profile", files(tmp_path / "ana"))


def _assert_absent(secrets: dict[str, bytes], where: str, places: object) -> None:
    searched = 0
    patterns = {name: {form for form in forms(secret) if len(form) >= 12} for name, secret in secrets.items()}
    for path, data in places:  # type: ignore[attr-defined]
        searched += 1
        for name, found in patterns.items():
            hits = [form for form in found if form in data]
            assert not hits, f"{name} stands in {where}: {path}"
    assert searched
