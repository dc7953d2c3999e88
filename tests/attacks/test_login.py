"""A server, or somebody in its place, that lies during registration and login: nothing of it is used or kept."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mensajeria.client import Client
from mensajeria.client.api import ConnectionPhase
from mensajeria.client.errors import ClientError, RefusedError, SecurityError, StateError
from mensajeria.protocol import auth
from mensajeria.protocol.auth import ServerAuth
from mensajeria.protocol.errors import Code
from mensajeria.protocol.records import MessageOuter
from tests.attacks.evil import Rule, flipped, other_welcome
from tests.attacks.forging import Impostor, contact_of, list_known
from tests.attacks.stage import PASSWORDS, Stage

CARLAS = "molino ámbar 58 rendija"


class Say(Rule):
    """Changes one kind of message on `/auth/ws`."""

    def __init__(self, kind: type[Any], change: Callable[[Any], ServerAuth]) -> None:
        self._kind = kind
        self._change = change

    def auth(self, message: ServerAuth) -> ServerAuth:
        return self._change(message) if isinstance(message, self._kind) else message


def with_fields(**changes: Any) -> Callable[[Any], ServerAuth]:
    """Other values; a function gets the old one."""

    def change(message: Any) -> ServerAuth:
        new = {name: value(getattr(message, name)) if callable(value) else value for name, value in changes.items()}
        return msgspec.structs.replace(message, **new)  # type: ignore[no-any-return]

    return change


def devices_on(stage: Stage) -> int:
    with stage.evil.database() as db:
        count: int = db.execute("SELECT count(*) FROM device").fetchone()[0]
    return count


LOGIN_LIES: dict[str, Rule] = {
    "no known password suite": Say(auth.ServerInfo, with_fields(password_suites=(2, 3))),
    "another server's id for the pre-stretch": Say(auth.ServerInfo, with_fields(server_id=bytes(16))),
    "altered second OPAQUE message": Say(auth.LoginChallenge, with_fields(ke2=lambda ke2: flipped(ke2, 40))),
    "short second OPAQUE message": Say(auth.LoginChallenge, with_fields(ke2=lambda ke2: ke2[:-1])),
    "altered wrap": Say(auth.LoginOk, with_fields(wrap_password=lambda wrap: flipped(wrap, 20))),
    "wraps exchanged": Say(auth.LoginOk, lambda ok: msgspec.structs.replace(ok, wrap_password=ok.wrap_recovery)),
    "another uid": Say(auth.LoginOk, with_fields(uid=bytes(16))),
    "altered identity": Say(auth.LoginOk, with_fields(identity=lambda record: flipped(record, 100))),
    "altered device list": Say(
        auth.LoginOk,
        with_fields(device_list=lambda signed: msgspec.structs.replace(signed, body=flipped(signed.body, 60))),
    ),
    "another message": Say(auth.LoginOk, lambda _: auth.HandleState(free=True)),
    "an error of a newer server": Say(auth.LoginOk, lambda _: auth.AuthError("use_legacy_password_form", "x")),
}


@pytest.mark.parametrize("lie", LOGIN_LIES)
async def test_login_of_a_new_device_through_a_lie_adds_nothing(stage: Stage, lie: str, tmp_path: Path) -> None:
    before = devices_on(stage)
    stage.evil.rule = LOGIN_LIES[lie]
    with pytest.raises(ClientError) as refused:
        await Client.login(
            stage.evil.url, "bruno", PASSWORDS["bruno"], profile=tmp_path / "new", insecure_key_file=True
        )
    assert isinstance(refused.value, SecurityError | RefusedError) or refused.value.code == "not_a_server"
    assert not (tmp_path / "new").exists()
    assert devices_on(stage) == before
    assert not any(PASSWORDS["bruno"].encode() in data for data in stage.evil.seen.auth)


async def test_an_identity_that_the_password_does_not_unwrap_is_refused(stage: Stage, tmp_path: Path) -> None:
    """The server shows a consistent identity of its own making in place of the account's."""
    bruno = await stage.open("bruno")
    impostor = Impostor.instead_of(list_known(await bruno.read(contact_of(bruno.uid))))
    await bruno.close()
    stage.evil.rule = Say(auth.LoginOk, with_fields(identity=impostor.identity.record, device_list=impostor.signed))
    with pytest.raises(SecurityError) as refused:
        await Client.login(
            stage.evil.url, "bruno", PASSWORDS["bruno"], profile=tmp_path / "new", insecure_key_file=True
        )
    assert refused.value.code in {"identity_swapped", "login_tampered"}


async def register_carla(stage: Stage, profile: Path) -> Client:
    return await Client.register(stage.evil.url, "carla", CARLAS, profile=profile, insecure_key_file=True)


async def test_registration_through_a_lie_leaves_no_profile(stage: Stage, tmp_path: Path) -> None:
    stage.evil.rule = Say(auth.RegisterChallenge, with_fields(response=lambda data: b"\xff" * len(data)))
    with pytest.raises(ClientError):
        await register_carla(stage, tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_registration_through_an_altered_response_leaves_no_account_without_its_code(
    stage: Stage, tmp_path: Path
) -> None:
    """Half of all altered responses are possible ones: then the account is made, and its password is no use."""
    stage.evil.rule = Say(auth.RegisterChallenge, with_fields(response=lambda data: flipped(data, 10)))
    with pytest.raises(ClientError):
        await register_carla(stage, tmp_path / "new")
    if not (tmp_path / "new").exists():
        return
    async with await Client.open(tmp_path / "new", offline=True) as client:
        assert client.is_unconfirmed
        assert client.recovery_code is not None


@pytest.mark.parametrize(
    "rule",
    [
        Say(auth.LoginOk, with_fields(identity=lambda record: flipped(record, 100))),
        Say(auth.LoginOk, with_fields(device_list=lambda one: msgspec.structs.replace(one, sig=bytes(len(one.sig))))),
        Say(auth.LoginOk, with_fields(uid=bytes(16))),
    ],
    ids=["identity", "list", "uid"],
)
async def test_a_lie_after_the_account_was_made_costs_neither_it_nor_its_code(
    stage: Stage, rule: Rule, tmp_path: Path
) -> None:
    stage.evil.rule = rule
    with pytest.raises(ClientError):
        await register_carla(stage, tmp_path / "new")
    async with await Client.open(tmp_path / "new", offline=True) as client:
        assert client.is_unconfirmed
    stage.evil.rule = Rule()
    async with await Client.login(stage.evil.url, "carla", CARLAS, profile=tmp_path / "new") as client:
        await client.caught_up()
        assert len(await client.devices()) == 1
        assert client.recovery_code is not None


async def test_login_again_at_another_server_is_refused_before_the_password_is_used(stage: Stage) -> None:
    ana = await stage.open("ana")
    stage.evil.rule = Say(auth.ServerInfo, with_fields(server_id=os.urandom(16)))
    said = len(stage.evil.seen.auth)
    with pytest.raises(SecurityError) as refused:
        await ana.client.login_again(PASSWORDS["ana"])
    assert refused.value.code == "server_changed"
    assert len(stage.evil.seen.auth) == said + 1  # the greeting; the client said nothing


async def test_login_again_with_a_swapped_identity_is_refused(stage: Stage) -> None:
    ana = await stage.open("ana")
    impostor = Impostor.instead_of(list_known(await ana.read(contact_of(ana.uid))))
    stage.evil.rule = Say(auth.LoginOk, with_fields(identity=impostor.identity.record, device_list=impostor.signed))
    with pytest.raises(SecurityError):
        await ana.client.login_again(PASSWORDS["ana"])
    stage.evil.rule = Rule()
    await ana.client.login_again(PASSWORDS["ana"])


# ------------------------------------------------------------------------------------------ the welcome on /ws


class Welcome(Rule):
    """A welcome whose proof does not fit."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes
        self.count = 0

    def welcome(self, to: bytes, welcome: bytes) -> bytes:
        self.count += 1
        return other_welcome(welcome, **self._changes)


@pytest.mark.parametrize(
    "changes",
    [{"proof": bytes(32)}, {"server_id": bytes(16)}, {"restore_epoch": 9}, {"nonce": bytes(32)}],
    ids=["proof", "server id", "epoch", "nonce"],
)
async def test_who_cannot_prove_the_channel_key_gets_nothing(stage: Stage, changes: dict[str, Any]) -> None:
    """An impostor with a valid certificate, for example: it sees one hello, and the client does not hammer at it."""
    stage.evil.rule = rule = Welcome(**changes)
    ana = await stage.open("ana", online=False)
    await ana.send(stage.chat_id, "nunca sale", wait=False)
    await ana.until(lambda: rule.count, "hello")
    await asyncio.sleep(0.7)
    assert stage.evil.seen.from_clients == []
    assert rule.count <= 3
    assert ana.client.phase in {ConnectionPhase.OFFLINE, ConnectionPhase.CONNECTING, ConnectionPhase.STOPPED}


class Epoch(Rule):
    """Another restore epoch, properly proven."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch(self, to: bytes, epoch: int) -> int:
        return self._epoch


async def test_a_restore_epoch_that_goes_back_stops_the_client(stage: Stage) -> None:
    stage.evil.rule = Epoch(5)
    ana = await stage.open("ana")
    stage.evil.rule = Epoch(4)
    stage.evil.drop_connections()
    await ana.warned("epoch_rolled_back")
    assert await ana.phase(ConnectionPhase.STOPPED) == "epoch_rolled_back"
    with pytest.raises(StateError):
        await asyncio.wait_for(ana.client.caught_up(), 5)


# ------------------------------------------------------------------------------------------------ outsiders


async def test_a_wrong_password_is_one_error_for_known_and_unknown_names(stage: Stage, tmp_path: Path) -> None:
    codes = []
    for handle in ("bruno", "nadie"):
        with pytest.raises(RefusedError) as refused:
            await Client.login(
                stage.evil.url,
                handle,
                "otra cosa 12 distinta",
                profile=tmp_path / f"new-{handle}",
                insecure_key_file=True,
            )
        codes.append(refused.value.code)
        assert not (tmp_path / f"new-{handle}").exists()
    assert codes == [Code.BAD_CREDENTIALS, Code.BAD_CREDENTIALS]


async def test_a_copy_of_a_profile_from_before_does_not_encrypt_again(stage: Stage, tmp_path: Path) -> None:
    """State rollback: a ratchet used twice would give two plaintexts one key."""
    shutil.copytree(stage.folder / "ana", tmp_path / "old")
    ana = await stage.open("ana")
    for text in ("uno", "dos", "tres"):
        await ana.send(stage.chat_id, text)
    stage.evil.drop_connections()
    await ana.send(stage.chat_id, "cuatro")
    await ana.close()
    shutil.rmtree(stage.folder / "ana")
    shutil.copytree(tmp_path / "old", stage.folder / "ana")
    before = len(stage.evil.seen.frames_of(ana.uid, MessageOuter))
    again = await stage.open("ana", online=False)
    await again.send(stage.chat_id, "desde la copia", wait=False)
    assert await again.phase(ConnectionPhase.STOPPED) == Code.ROLLED_BACK
    assert len(stage.evil.seen.frames_of(ana.uid, MessageOuter)) == before
    await again.client.login_again(PASSWORDS["ana"])
    bruno = await stage.open("bruno")
    await bruno.shows(stage.chat_id, "ana: desde la copia")
    sessions = {outer.session_id for outer in stage.evil.seen.frames_of(ana.uid, MessageOuter)}
    assert len(sessions) == 2
