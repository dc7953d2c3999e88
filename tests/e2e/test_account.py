"""What an owner does with the account, end to end: password, recovery, devices, invites, logging out, deleting."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mensajeria.client import Client, InputError, RefusedError, StateError
from mensajeria.client.api import (
    ChatChanged,
    ConnectionChanged,
    ConnectionPhase,
    DeviceListChanged,
    Message,
    MessageState,
    MessageStateChanged,
)
from mensajeria.client.engine import login
from mensajeria.client.store.values import Tokens
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.kit.secrets import Secret
from mensajeria.protocol import api
from mensajeria.protocol.errors import Code
from tests.e2e.conftest import PASSWORDS, ServerProcess
from tests.e2e.helpers import befriend, eventually, texts, until

Register = Callable[[str], Awaitable[Client]]
pytestmark = pytest.mark.slow
NEW = "una frase nueva 55 lapiz"


async def second(server: ServerProcess, folder: Path, name: str, password: str) -> Client:
    """The account on one more device."""
    return await Client.login(server.url, name, password, profile=folder, device_name="second", insecure_key_file=True)


async def refused(work: Awaitable[object]) -> str:
    with pytest.raises(RefusedError) as caught:
        await work
    return caught.value.code


async def test_password_change_keeps_this_device_and_lets_others_back_in(
    server: ServerProcess, register: Register, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    other = await second(server, tmp_path / "ana2", "ana", PASSWORDS["ana"])
    async with other:
        await other.caught_up()
        heard = other.events()

        assert await refused(ana.change_password("no es la clave", NEW)) == "bad_credentials"
        with pytest.raises(InputError):
            await ana.change_password(PASSWORDS["ana"], "1234567890")
        await ana.change_password(PASSWORDS["ana"], NEW)

        await until(heard, lambda e: isinstance(e, ConnectionChanged) and e.phase is ConnectionPhase.LOGIN_ENDED)
        assert await refused(other.login_again(PASSWORDS["ana"])) == "bad_credentials"
        await other.login_again(NEW)
        await other.caught_up()
    await ana.caught_up()
    await bruno.wait_sent((await back.send_text("¿sigues ahí?")).mid)

    async def arrived() -> bool:
        return "¿sigues ahí?" in await texts(there, outgoing=False)

    await eventually(arrived)


async def test_recovery_code_gives_a_new_password_on_a_new_device_and_on_the_old_one(
    server: ServerProcess, register: Register, tmp_path: Path
) -> None:
    ana = await register("ana")
    assert ana.recovery_code is not None
    code = ana.recovery_code.reveal_text()
    heard = ana.events()

    wrong = RecoveryCode.generate().text
    assert (
        await refused(Client.recover(server.url, "ana", wrong, NEW, profile=tmp_path / "x", insecure_key_file=True))
        == "recovery_invalid"
    )
    assert (
        await refused(Client.recover(server.url, "nobody", code, NEW, profile=tmp_path / "x", insecure_key_file=True))
        == "recovery_invalid"
    )
    with pytest.raises(InputError) as slip:
        await Client.recover(server.url, "ana", code[:-1], NEW, profile=tmp_path / "x", insecure_key_file=True)
    assert slip.value.code == "recovery_code_invalid"
    assert not (tmp_path / "x").exists()

    back = await Client.recover(server.url, "ana", code.lower(), NEW, profile=tmp_path / "y", insecure_key_file=True)
    async with back:
        await back.caught_up()
        assert back.me.uid == ana.me.uid
        assert len(await back.devices()) == 2
        await until(heard, lambda e: isinstance(e, ConnectionChanged) and e.phase is ConnectionPhase.LOGIN_ENDED)
        assert await refused(ana.login_again(PASSWORDS["ana"])) == "bad_credentials"
        # A device of less than a day needs the code to remove an older one.
        assert await refused(back.revoke_device(ana._context.me.did, NEW)) == "approval_needed"
        await back.revoke_device(ana._context.me.did, NEW, recovery_code=code)
        assert [device.current for device in await back.devices()] == [True]
        with pytest.raises(StateError):
            await ana.login_again(NEW)


async def test_a_recovery_code_is_kept_until_the_person_has_it(register: Register, tmp_path: Path) -> None:
    ana = await register("ana")
    code = ana.recovery_code
    assert code is not None
    await ana.close()
    async with await Client.open(tmp_path / "ana", offline=True) as again:
        assert again.recovery_code == code
        await again.recovery_code_saved()
        assert again.recovery_code is None
    async with await Client.open(tmp_path / "ana", offline=True) as later:
        assert later.recovery_code is None


async def test_who_uses_the_recovery_code_has_it(server: ServerProcess, register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    assert ana.recovery_code is not None
    assert bruno.recovery_code is not None
    code = ana.recovery_code
    await ana.change_password(PASSWORDS["ana"], NEW, recovery_code=code)
    assert ana.recovery_code is None
    code = bruno.recovery_code
    await bruno.close()
    async with await Client.recover(server.url, "bruno", code, NEW, profile=tmp_path / "bruno") as back:
        assert back.recovery_code is None


async def test_recovery_in_the_profile_of_the_account_itself(
    server: ServerProcess, register: Register, tmp_path: Path
) -> None:
    ana = await register("ana")
    assert ana.recovery_code is not None
    await ana.close()

    async with await Client.recover(server.url, "ana", ana.recovery_code, NEW, profile=tmp_path / "ana") as back:
        await back.caught_up()
        assert len(await back.devices()) == 1
        assert back.me.uid == ana.me.uid


async def test_removed_device_is_cut_off_at_once_and_the_others_see_it(
    server: ServerProcess, register: Register, tmp_path: Path
) -> None:
    ana = await register("ana")
    async with await second(server, tmp_path / "ana2", "ana", PASSWORDS["ana"]) as other:
        await other.caught_up()
        gone, seen = other.events(), ana.events()
        did = next(device.did for device in await ana.devices() if not device.current)
        await ana.rename_device(did, "el móvil")
        assert {device.name for device in await ana.devices()} == {"test", "el móvil"}

        await ana.revoke_device(did, PASSWORDS["ana"])

        ended = await until(gone, lambda e: isinstance(e, ConnectionChanged) and e.phase is ConnectionPhase.LOGIN_ENDED)
        assert isinstance(ended, ConnectionChanged)
        changed = await until(seen, lambda e: isinstance(e, DeviceListChanged) and len(e.devices) == 1)
        assert isinstance(changed, DeviceListChanged)
        with pytest.raises(StateError) as caught:
            await other.login_again(PASSWORDS["ana"])
        assert caught.value.code == "device_removed"
    assert await refused(ana.revoke_device(did, PASSWORDS["ana"])) == "unknown_device"
    own = ana._context.me.did
    assert await refused(ana.revoke_device(own, PASSWORDS["ana"])) == "last_device"


async def test_messages_after_a_removal_go_to_the_devices_that_are_left(
    server: ServerProcess, register: Register, tmp_path: Path
) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    there, back = await befriend(ana, bruno)
    async with await second(server, tmp_path / "ana2", "ana", PASSWORDS["ana"]) as other:
        await other.caught_up()
        did = next(device.did for device in await ana.devices() if not device.current)
        await ana.revoke_device(did, PASSWORDS["ana"])

        await bruno.wait_sent((await back.send_text("solo para ti")).mid)

        async def arrived() -> bool:
            return "solo para ti" in await texts(there, outgoing=False)

        await eventually(arrived)
        assert "solo para ti" not in await texts(other.chat(there.chat_id))


async def test_logout_everywhere(server: ServerProcess, register: Register, tmp_path: Path) -> None:
    ana = await register("ana")
    async with await second(server, tmp_path / "ana2", "ana", PASSWORDS["ana"]) as other:
        await other.caught_up()
        heard = other.events()
        await ana.log_out(everywhere=True)
        await until(heard, lambda e: isinstance(e, ConnectionChanged) and e.phase is ConnectionPhase.LOGIN_ENDED)
        await other.login_again(PASSWORDS["ana"])
        await other.caught_up()


async def test_deleted_account_is_gone_for_everybody(server: ServerProcess, register: Register, tmp_path: Path) -> None:
    ana, bruno = await register("ana"), await register("bruno")
    _, back = await befriend(ana, bruno)
    heard = ana.events()

    await ana.delete_account(PASSWORDS["ana"])

    await until(heard, lambda e: isinstance(e, ConnectionChanged) and e.phase is ConnectionPhase.LOGIN_ENDED)
    assert await refused(second(server, tmp_path / "z", "ana", PASSWORDS["ana"])) == "bad_credentials"
    with pytest.raises(RefusedError) as taken:
        await Client.register(server.url, "ana", PASSWORDS["ana"], profile=tmp_path / "z", insecure_key_file=True)
    assert taken.value.code == "handle_taken"
    assert await texts(back, outgoing=False) == ["hola"]  # what was received stays
    told, answered = bruno.events(), bruno.events()
    last = await back.send_text("¿sigues ahí?")
    await until(told, lambda e: isinstance(e, ChatChanged) and e.chat.gone)
    await until(answered, lambda e: isinstance(e, MessageStateChanged) and failed(e.message, last.mid))
    with pytest.raises(StateError, match="account_gone"):
        await back.send_text("¿y ahora?")
    bruno.retry_now()
    await bruno.caught_up()


def failed(message: Message, mid: bytes) -> bool:
    return message.mid == mid and message.state is MessageState.FAILED


@pytest.fixture
def approving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENSAJERIA_REGISTRATION", "approval")


async def test_account_that_waits_keeps_its_profile_and_code(
    approving: None, empty_server: ServerProcess, tmp_path: Path
) -> None:
    server, folder = empty_server, tmp_path / "ana"
    ana = await Client.register(server.url, "ana", PASSWORDS["ana"], profile=folder, insecure_key_file=True)
    async with ana:
        assert ana.awaits_approval
        assert ana.recovery_code is not None
        assert await refused(ana.login_again(PASSWORDS["ana"])) == "account_pending"
    await in_another_process(server, "approve", "ana")
    async with await Client.open(folder, offline=True) as ana:
        await ana.login_again(PASSWORDS["ana"])
        await ana.caught_up()
        assert len(await ana.devices()) == 1


async def in_another_process(server: ServerProcess, *command: str) -> None:
    """The operator's command line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mensajeria.cli", "admin", "user", *command, "--data-dir", str(server.folder)
    )
    assert await process.wait() == 0


async def test_invites_by_members_are_the_operator_s_choice(register: Register) -> None:
    ana = await register("ana")

    assert await refused(ana.create_invite()) == "forbidden"
    assert await ana.invites() == ()


@pytest.mark.parametrize("late", [True, False], ids=["refused", "answered"])
async def test_a_refresh_that_a_new_login_overtakes_leaves_the_new_one(
    register: Register, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """The server ends the old login of a device before the device has stored what its new password gave it."""
    ana = await register("ana")
    store, keeper = ana._context.store, ana._engine._keeper
    tokens, key = await store.read(lambda tx: (tx.own.tokens(), tx.own.channel_key()))
    assert tokens is not None
    assert key is not None
    newer = Tokens(Secret(b"newer"), tokens.access_expires_ms, Secret(b"n" * 32), tokens.known)

    async def overtaken(*_request: object) -> api.Tokens:
        await store.run(lambda tx: tx.own.put_login(newer, key))
        if late:
            raise RefusedError(Code.LOGIN_REVOKED)
        return api.Tokens(access_token="old", access_expires_ms=1, refresh_token=b"o" * 32)

    monkeypatch.setattr(login, "refresh", overtaken)
    assert (await keeper.renew(tokens.access.reveal_text())).access_token == "newer"
    assert await store.read(lambda tx: tx.own.tokens()) == newer
