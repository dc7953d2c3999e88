"""Bad input of every kind, through the library and on raw sockets: a clear stable error, and nothing has changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from mensajeria.client import Client
from mensajeria.client.errors import ClientError
from mensajeria.client.i18n import catalogue
from mensajeria.client.transport.websocket import ConnectionLostError, WebSocket, connect
from mensajeria.crypto.password import password_proof
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import frames, limits
from mensajeria.protocol.auth import AuthError, CheckHandle, LoginFinish, LoginStart, decode_from_server, encode_auth
from mensajeria.protocol.codec import encode_plain
from mensajeria.protocol.errors import Close, Code
from mensajeria.protocol.frames import Batch, Hello, Nack
from mensajeria.protocol.ids import b64
from mensajeria.protocol.records import MessageOuter
from tests.attacks.evil import Rule
from tests.attacks.stage import PASSWORDS, Actor, Stage

GOOD = "molino ámbar 58 rendija"


OWN_WORK = {"backup_row"}
"""What connected clients write by themselves, whenever they get to it."""


def counts(stage: Stage) -> dict[str, int]:
    """Rows of every table of the server that changes only when somebody asks for it."""
    with stage.evil.database() as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables if name not in OWN_WORK
        }


@asynccontextmanager
async def nothing_changes(stage: Stage) -> Any:
    before = counts(stage)
    yield
    await asyncio.sleep(0.02)
    assert counts(stage) == before
    assert set(before) >= {"account", "device", "event", "chat", "mailbox", "one_time_key", "invite", "refresh_family"}


# ---------------------------------------------------------------------------------------------- through the library

Attempt = Callable[[Stage, Actor, Path], Awaitable[object]]


def _register(name: str, password: str = GOOD, **more: Any) -> Attempt:
    return lambda stage, _ana, folder: Client.register(
        stage.evil.url, name, password, profile=folder / "new", insecure_key_file=True, **more
    )


def _login(name: str, password: str) -> Attempt:
    return lambda stage, _ana, folder: Client.login(
        stage.evil.url, name, password, profile=folder / "new", insecure_key_file=True
    )


def _say(text: str) -> Attempt:
    return lambda stage, ana, _: ana.client.chat(stage.chat_id).send_text(text)


ATTEMPTS: dict[str, tuple[str, Attempt]] = {
    "unknown user": ("unknown_user", lambda _, ana, __: ana.client.direct_chat("nadie")),
    "impossible user": ("handle_invalid", lambda _, ana, __: ana.client.direct_chat("../../x")),
    "wrong password": ("bad_credentials", _login("ana", "no es esta 44 clave")),
    "unknown account": ("bad_credentials", _login("nadie", "no es esta 44 clave")),
    "login with an impossible name": ("handle_invalid", _login("á", GOOD)),
    "taken name": ("handle_taken", _register("ana")),
    "taken name in capitals": ("handle_taken", _register("ANA")),
    "short name": ("handle_invalid", _register("ab")),
    "long name": ("handle_invalid", _register("a" * 33)),
    "name with a slash": ("handle_invalid", _register("a/b/c")),
    "weak password": ("weak_password", _register("carla", "contraseña1")),
    "short password": ("weak_password", _register("carla", "aZ9!")),
    "empty password": ("weak_password", _register("carla", "")),
    "password that is the name": ("weak_password", _register("carlacarla", "carlacarla")),
    "garbage invite": ("invite_invalid", _register("carla", invite="%%%")),
    "address without a server": (
        "network",
        lambda _, __, folder: Client.login(
            "http://127.0.0.1:9", "ana", GOOD, profile=folder / "new", insecure_key_file=True
        ),
    ),
    "address that is none": (
        "bad_address",
        lambda _, __, folder: Client.login("ftp://x", "ana", GOOD, profile=folder / "new", insecure_key_file=True),
    ),
    "too long text": ("too_large", _say("x" * (limits.TEXT_MAX_BYTES + 1))),
    "too long text of wide characters": ("too_large", _say("🦜" * (limits.TEXT_MAX_BYTES // 4 + 1))),
    "empty text": ("empty_text", _say(" \n\t ")),
    "text that is no Unicode": ("malformed_text", _say("\ud800")),
    "unknown chat": ("unknown_chat", lambda _, ana, __: ana.client.chat(bytes(32)).send_text("hola")),
    "reading an unknown chat": ("unknown_chat", lambda _, ana, __: ana.client.chat(b"x" * 32).view()),
    "profile in use": ("profile_in_use", lambda stage, _, __: Client.open(stage.folder / "ana")),
    "profile that is none": ("profile_missing", lambda _, __, folder: Client.open(folder / "none")),
}


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_the_library_refuses_with_one_code_and_nothing_changes(stage: Stage, name: str, tmp_path: Path) -> None:
    code, attempt = ATTEMPTS[name]
    ana = await stage.open("ana")
    async with nothing_changes(stage):
        with pytest.raises(ClientError) as refused:
            await attempt(stage, ana, tmp_path)
    assert refused.value.code == code
    assert not (tmp_path / "new").exists()
    for language in ("es", "en"):
        assert f"error.{code}" in catalogue(language)
    assert await ana.texts(stage.chat_id) == ["ana: hola", "bruno: qué tal"]


async def test_a_text_of_exactly_the_longest_length_goes_through(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    text = "ñ" * (limits.TEXT_MAX_BYTES // 2)
    await ana.send(stage.chat_id, text)
    await bruno.shows(stage.chat_id, f"ana: {text}")


# -------------------------------------------------------------------------------------------------- raw sockets


async def close_code(socket: WebSocket) -> int:
    """How the server ends the connection."""
    try:
        async with asyncio.timeout(10):
            while True:
                await socket.receive()
    except ConnectionLostError as lost:
        return lost.code


def _hello(jwt: str, did: bytes = b"d" * 16, v: int = limits.PROTOCOL_VERSION) -> bytes:
    return encode_plain(Hello(v, did, jwt, os.urandom(32), 0))


RAW: dict[str, tuple[str, bytes, int]] = {
    "empty frame": ("/ws", b"", Close.MALFORMED),
    "garbage": ("/ws", os.urandom(80), Close.MALFORMED),
    "zeros": ("/ws", bytes(200), Close.MALFORMED),
    "too large": ("/ws", bytes(limits.MAX_FRAME + 1), Close.TOO_BIG),
    "no token": ("/ws", _hello(""), Close.LOGIN_ENDED),
    "token that is none": ("/ws", _hello("a.b.c"), Close.LOGIN_ENDED),
    "token without a signature": ("/ws", _hello("eyJhbGciOiJub25lIn0.e30."), Close.LOGIN_ENDED),
    "newer version": ("/ws", _hello("a.b.c", v=9), Close.NEWER_VERSION),
    "garbage for a login": ("/auth/ws", os.urandom(80), Close.MALFORMED),
    "nothing for a login": ("/auth/ws", b"", Close.MALFORMED),
    "too much for a login": ("/auth/ws", bytes(limits.MAX_AUTH_FRAME + 1), Close.TOO_BIG),
}


@pytest.mark.parametrize("name", RAW)
async def test_a_raw_socket_is_closed_with_one_code_and_nothing_changes(stage: Stage, name: str) -> None:
    path, data, code = RAW[name]
    async with nothing_changes(stage):
        socket = await connect(f"ws://127.0.0.1:{stage.evil.port}{path}", tls=None, max_message=limits.MAX_FRAME)
        socket.send(data)
        assert await close_code(socket) == code
    await (await stage.open("ana")).send(stage.chat_id, "el servidor sigue", wait=True)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (LoginFinish(b"x" * 64), Code.UNAUTHORIZED),
        (LoginStart(1, "ana", b"not opaque"), Code.MALFORMED),
        (LoginStart(7, "ana", b"x" * 96), Code.NEWER_VERSION),
        (CheckHandle("ana", b"short"), Code.INVITE_INVALID),
    ],
    ids=["proof of nothing", "no OPAQUE message", "unknown suite", "false invite"],
)
async def test_a_wrong_step_of_a_login_is_an_error_and_nothing_changes(stage: Stage, message: Any, code: Code) -> None:
    async with nothing_changes(stage):
        socket = await connect(f"ws://127.0.0.1:{stage.evil.port}/auth/ws", tls=None, max_message=limits.MAX_FRAME)
        await socket.receive()
        socket.send(encode_auth(message))
        answer = decode_from_server(await socket.receive())
        socket.close()
    if isinstance(message, CheckHandle):
        return  # an open server asks for no invite: the answer is whether the name is free
    assert isinstance(answer, AuthError)
    assert answer.code in {code, Code.BAD_CREDENTIALS, Code.MALFORMED}


def _outer(chat_id: bytes, **changes: Any) -> MessageOuter:
    base = MessageOuter(limits.PROTOCOL_VERSION, 1, chat_id, 0, bytes(32), 0, os.urandom(16), b"c" * 100, bytes(32), 0)
    return msgspec.structs.replace(base, **changes)


async def test_frames_about_chats_that_one_is_not_in_are_refused(stage: Stage) -> None:
    """A chat that is not there and one of other people have the same answer."""
    ana = await stage.open("ana")
    note = await ana.client.direct_chat("ana")  # a chat in which Bruno is not
    bruno = await stage.open("bruno")
    session = bruno.client._engine._session
    assert session is not None
    nacks: list[Nack] = []

    class Watch(Rule):
        def item(self, to: bytes, item: Any) -> Any:
            if isinstance(item, Nack):
                nacks.append(item)
            return super().item(to, item)

    stage.evil.rule = Watch()
    async with nothing_changes(stage):
        for chat_id in (os.urandom(32), note.chat_id):
            session.send(_outer(chat_id))
            session.send(frames.Cursor(chat_id, 1 << 50))
            session.send(frames.Typing(chat_id, bytes(16), True))
            with pytest.raises(ClientError) as refused:
                await session.request(lambda rid, chat=chat_id: frames.Fetch(rid, chat, 0, 10), frames.Events)  # type: ignore[misc]
            assert refused.value.code == Code.UNKNOWN_CHAT
        await bruno.until(lambda: len(nacks) == 2, "refused")
    assert {nack.code for nack in nacks} == {Code.UNKNOWN_CHAT}


async def test_one_mid_with_two_contents_is_a_conflict(stage: Stage) -> None:
    bruno = await stage.open("bruno")
    session = bruno.client._engine._session
    assert session is not None
    seen: list[Any] = []

    class Watch(Rule):
        def frame(self, to: bytes, frame: Any) -> Any:
            if isinstance(frame, Batch):
                seen.extend(frame.items)
            return super().frame(to, frame)

    stage.evil.rule = Watch()
    first = _outer(stage.chat_id)
    session.send(first)
    await bruno.until(lambda: seen, "acked")
    async with nothing_changes(stage):
        session.send(msgspec.structs.replace(first, ct=b"other"))
        await bruno.until(lambda: any(isinstance(one, Nack) and one.code == Code.MID_CONFLICT for one in seen), "nack")


# ------------------------------------------------------------------------------------------------------- REST

CALLS: list[tuple[str, str, dict[str, str], bytes, int, str]] = [
    ("GET", "/v1/users/by-handle/ana", {}, b"", 401, "unauthorized"),
    ("GET", "/v1/users/by-handle/ana", {"Authorization": "Bearer a.b.c"}, b"", 401, "unauthorized"),
    ("GET", "/v1/users/by-handle/ana", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, b"", 401, "unauthorized"),
    ("GET", "/v1/devices", {"Authorization": "Basic YTpi"}, b"", 401, "unauthorized"),
    ("POST", "/v1/prekeys/claim", {}, b"{", 401, "unauthorized"),
    ("POST", "/v1/auth/refresh", {}, b"garbage", 401, "unauthorized"),
    ("PUT", f"/v1/chats/direct/{b64(bytes(32))}", {}, b"{}", 401, "unauthorized"),
    ("GET", "/v1/nothing", {}, b"", 404, "not_found"),
    ("GET", "/../../etc/passwd", {}, b"", 404, "not_found"),
    ("POST", "/v1/prekeys/claim", {}, bytes((512 << 10) + 1), 413, "too_large"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "code"), CALLS)
async def test_a_request_without_right_or_sense_gets_a_problem_document(
    stage: Stage, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async with nothing_changes(stage), httpx.AsyncClient(base_url=stage.evil.url) as http:
        headers = {**headers, **({"Content-Type": "application/json"} if body else {})}
        answer = await http.request(method, path, content=body, headers=headers)
    problem = answer.json()
    allowed = {code} | ({"malformed"} if body in {b"garbage", b"{"} else set())
    assert problem["code"] in allowed, problem
    assert answer.status_code == status or problem["code"] == "malformed"
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "Traceback" not in answer.text


async def test_first_login_messages_without_a_proof_are_limited_and_lock_nobody_out(stage: Stage) -> None:
    """A guess costs the first message, for the last is never sent. Known devices have a limit of their own."""
    ke1 = password_proof(1).start_login(Secret(b"5f" * 32)).ke1
    codes = []
    for _ in range(2):
        socket = await connect(f"ws://127.0.0.1:{stage.evil.port}/auth/ws", tls=None, max_message=limits.MAX_FRAME)
        await socket.receive()
        for _ in range(30):
            socket.send(encode_auth(LoginStart(1, "ana", ke1)))
            answer = decode_from_server(await asyncio.wait_for(socket.receive(), 10))
            codes.append(answer.code if isinstance(answer, AuthError) else "")
        socket.close()
    assert codes[:5] == [""] * 5
    assert codes[-1] == Code.RATE_LIMITED
    ana = await stage.open("ana")
    await ana.client.login_again(PASSWORDS["ana"])
