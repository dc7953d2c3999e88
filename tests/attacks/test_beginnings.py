"""An account is begun, and the process is killed at every point: its recovery code is never lost.

Points are what outlives the process: each transaction of the store, each file of the profile, and both sides of
whatever is said to the server.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mensajeria.client import Client, NetworkError, ProfileError, RefusedError
from mensajeria.client.profile import Profile
from mensajeria.client.store import Store
from mensajeria.client.transport.auth_channel import AuthChannel
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.clock import SystemClock
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import auth
from mensajeria.protocol.devices import decode_identity
from mensajeria.protocol.errors import Code
from mensajeria.protocol.ids import b64
from mensajeria.server.db.schema import account
from mensajeria.server.ratelimit.limiter import MemoryBuckets
from tests.attacks.stage import PATIENCE_S, Stage
from tests.attacks.test_identity_moves import allowed

PASSWORD = "cuarta frase 11 verde"
Begin = Callable[[Path, int], Awaitable[Client]]


class KilledError(Exception):
    """Where the process dies in a thread, which cannot be made to wait."""


@dataclass
class Death:
    """Counts the points; at the chosen one the files are as they are, and nothing goes on."""

    folder: Path
    at: int
    count: int = 0
    over: bool = False
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def left(self) -> Path:
        """What lies there after it."""
        return self.folder.with_suffix(".left")

    async def point(self) -> None:
        if self.over:
            return
        self.count += 1
        if self.count == self.at:
            await asyncio.to_thread(self._copy)
            self.happened.set()
        if self.count >= self.at:
            await asyncio.Event().wait()

    def _copy(self) -> None:
        if self.folder.exists():
            shutil.copytree(self.folder, self.left, ignore=shutil.ignore_patterns("*.sock", "lock"))

    def around(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*given: Any, **named: Any) -> Any:
            await self.point()
            answer = await call(*given, **named)
            await self.point()
            return answer

        return watched

    def in_thread(self, call: Callable[..., None]) -> Callable[..., None]:
        loop = asyncio.get_running_loop()

        def watched(*given: Any) -> None:
            if not self.over:
                self.count += 1
                if self.count == self.at:
                    self._copy()
                    loop.call_soon_threadsafe(self.happened.set)
                if self.count >= self.at:
                    raise KilledError
            call(*given)

        return watched


@asynccontextmanager
async def doomed(death: Death) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuthChannel, "ask", death.around(AuthChannel.ask))
        patch.setattr(Store, "run", death.around(Store.run))
        patch.setattr(Profile, "save", death.in_thread(Profile.save))
        patch.setattr(Profile, "finish", death.in_thread(Profile.finish))
        yield


async def killed(begin: Begin, folder: Path, at: int) -> Path | None:
    """What is left of a profile whose maker dies at that point; None when it is made before."""
    death = Death(folder / str(at), at)
    async with doomed(death):
        work = asyncio.ensure_future(begin(death.folder, at))
        end = asyncio.create_task(death.happened.wait())
        await asyncio.wait({work, end}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        death.over = True
        if work.done():
            await (await work).close()
            return None
        assert death.happened.is_set(), "it does not end"
        work.cancel()
        with suppress(asyncio.CancelledError, KilledError):
            await work
    return death.left


async def kept_code(folder: Path) -> Secret | None:
    """The code that the next start shows."""
    try:
        client = await Client.open(folder, offline=True)
    except ProfileError as error:
        if error.code != "profile_missing":
            raise
        return None
    async with client:
        return client.recovery_code


async def opens(stage: Stage, handle: str, code: Secret | None) -> bool:
    """Whether that is the code of the account."""
    if code is None:
        return False
    held = decode_identity(await identity(stage, handle)).recovery
    return RecoveryCode.parse(code.reveal_text()).public == held


async def identity(stage: Stage, handle: str) -> bytes:
    """The one that the server has for a name; empty when it has no such account."""

    def read(connection: Any) -> Any:
        row = connection.execute(account.select().where(account.c.handle == handle)).one_or_none()
        return b"" if row is None else row.identity

    found: bytes = await stage.evil.server.db.write(read)
    return found


async def test_a_registration_killed_at_any_point_leaves_no_account_without_its_code(stage: Stage) -> None:
    url, at = stage.evil.url, 0
    outcomes = set()
    while at < 100:
        at += 1

        async def begin(folder: Path, at: int) -> Client:
            return await Client.register(url, f"nora{at}", PASSWORD, profile=folder, insecure_key_file=True)

        left = await killed(begin, stage.folder, at)
        if left is None:
            break
        is_there, code = bool(await identity(stage, f"nora{at}")), await kept_code(left)
        assert not is_there or await opens(stage, f"nora{at}", code), at
        outcomes.add((is_there, code is not None))
    assert outcomes == {(False, False), (False, True), (True, True)}
    assert at > 12, "without points it proves nothing"


async def test_a_reset_killed_at_any_point_leaves_no_account_without_its_code(stage: Stage) -> None:
    url, at = stage.evil.url, 0
    while at < 100:
        at += 1
        token = await allowed(stage)

        async def begin(folder: Path, _: int, token: bytes = token) -> Client:
            return await Client.reset_identity(
                url, "bruno", b64(token), PASSWORD, profile=folder, insecure_key_file=True
            )

        before = await identity(stage, "bruno")
        left = await killed(begin, stage.folder, at)
        if left is None:
            break
        is_there = before != await identity(stage, "bruno")
        stage.evil.server.limiter._store = MemoryBuckets(SystemClock())
        assert not is_there or await opens(stage, "bruno", await kept_code(left)), at
    assert at > 12, "without points it proves nothing"


class Lost:
    """The answer to a request is lost: on its way there, or on its way back."""

    def __init__(self, patch: pytest.MonkeyPatch, asked: type[auth.RegisterFinish], *, arrives: bool) -> None:
        ask = AuthChannel.ask

        async def lossy(channel: AuthChannel, message: Any, *rest: Any) -> Any:
            if not isinstance(message, asked):
                return await ask(channel, message, *rest)
            if arrives:
                await ask(channel, message, *rest)
            raise NetworkError("network")

        patch.setattr(AuthChannel, "ask", lossy)


@pytest.fixture
async def unsure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The profile of an account that was made without anybody being told."""
    return await begun(stage, monkeypatch, arrives=True)


async def begun(stage: Stage, patch: pytest.MonkeyPatch, *, arrives: bool) -> Path:
    folder = stage.folder / "nora"
    with patch.context() as here:
        Lost(here, auth.RegisterFinish, arrives=arrives)
        with pytest.raises(NetworkError):
            await Client.register(stage.evil.url, "nora", PASSWORD, profile=folder, insecure_key_file=True)
    return folder


async def test_who_logs_in_behind_a_lost_answer_is_the_device_that_registered(stage: Stage, unsure: Path) -> None:
    async with await Client.login(stage.evil.url, "nora", PASSWORD, profile=unsure) as client:
        await client.caught_up()
        assert len(await client.devices()) == 1
        assert not client.is_unconfirmed
        assert client.recovery_code is not None, "until they say that they have it"
        await client.recovery_code_saved()
    assert await kept_code(unsure) is None


async def test_what_was_not_made_says_so_at_login_and_can_be_begun_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await begun(stage, monkeypatch, arrives=False)
    with pytest.raises(ProfileError) as again:
        await Client.register(stage.evil.url, "nora", PASSWORD, profile=folder, insecure_key_file=True)
    assert again.value.code == "account_unsure"
    async with await Client.open(folder, offline=True) as client:
        assert client.is_unconfirmed
        with pytest.raises(ProfileError) as refused:
            await client.login_again(PASSWORD)
        assert refused.value.code == "account_unsure"
        await client.erase()
    async with await Client.register(
        stage.evil.url, "nora", PASSWORD, profile=folder, insecure_key_file=True
    ) as client:
        await client.caught_up()


async def test_what_the_server_refuses_leaves_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = AuthChannel.ask

    async def overtaken(channel: AuthChannel, message: Any, *rest: Any) -> Any:
        if isinstance(message, auth.RegisterFinish):
            raise RefusedError(Code.HANDLE_TAKEN)
        return await ask(channel, message, *rest)

    monkeypatch.setattr(AuthChannel, "ask", overtaken)
    with pytest.raises(RefusedError):
        await Client.register(stage.evil.url, "nora", PASSWORD, profile=stage.folder / "nora", insecure_key_file=True)
    assert not await asyncio.to_thread((stage.folder / "nora").exists)


async def test_a_server_that_fails_may_have_made_the_account(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = AuthChannel.ask

    async def failing(channel: AuthChannel, message: Any, *rest: Any) -> Any:
        answer = await ask(channel, message, *rest)
        if isinstance(message, auth.RegisterFinish):
            raise RefusedError(Code.INTERNAL)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(AuthChannel, "ask", failing)
        with pytest.raises(RefusedError):
            await Client.register(
                stage.evil.url, "nora", PASSWORD, profile=stage.folder / "nora", insecure_key_file=True
            )
    assert await opens(stage, "nora", await kept_code(stage.folder / "nora"))
