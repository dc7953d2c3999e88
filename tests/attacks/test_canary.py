"""Texts, passwords, the recovery code and every private key are nowhere outside of the clients' encrypted stores."""

from __future__ import annotations

import asyncio
import base64
import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog

from mensajeria.client import Client
from mensajeria.client.api import DeviceLinked, Event, MessageChanged, ProfileChanged, VerificationPhase
from mensajeria.client.store import Tx
from mensajeria.crypto.linking import parse_code
from mensajeria.crypto.recovery import RecoveryCode
from mensajeria.crypto.root import AccountRoot
from mensajeria.kit.secrets import Secret
from mensajeria.protocol.ids import ChatId
from mensajeria.protocol.links import parse_link
from tests.attacks.canary import device_secrets, files_of, forms, leaks, session_secrets
from tests.attacks.evil import EvilServer
from tests.attacks.stage import Actor
from tests.attacks.test_verification import comparing, reaches

PEOPLE = {"ana": "zaguán-Ñandú 7431 quetzal", "bruno": "ukelele-ácimo 9920 xilófono"}
TEXTS = {"ana": "canario ÁÑ圖🦜 de Ana 8812", "bruno": "eco «zorzal» ☂ de Bruno 4417"}


class Everything(logging.Handler):
    """Every log record of the process, at debug level, with the arguments it was made of."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")


async def _private(actor: Actor) -> dict[str, bytes]:
    """What only this device may know."""
    vault = actor.client._opened.vault

    def read(tx: Tx) -> dict[str, bytes]:
        device = tx.own.device()
        assert device is not None
        found = device_secrets(device.reveal())
        for name in ("settings_key", "backup_key"):
            key = tx.own.get(name)
            assert key is not None
            found[name] = key.reveal()
        channel = tx.own.channel_key()
        assert channel is not None
        found["channel key"] = channel.reveal()
        for uid in tx.profiles.shown():
            profile = tx.profiles.get(uid)
            assert profile is not None
            found[f"profile key of {uid.hex()}"] = profile.key.reveal()
        for chat in tx.chats.all():
            outbound = tx.outbound.get(chat.chat_id)
            if outbound is not None:
                found |= session_secrets(outbound.state.reveal())
        return found

    return {**await actor.read(read), "store key": vault.key.reveal()}


def _account(evil: EvilServer, handle: str, code: Secret) -> dict[str, bytes]:
    """The account root, which the recovery code opens without any server, and what follows from it."""
    with evil.database() as db:
        sql = "SELECT uid, wrap_recovery FROM account WHERE handle = ?"
        uid, wrap = db.execute(sql, (handle,)).fetchone()
    recovery = RecoveryCode.parse(code.reveal_text())
    root = AccountRoot.unwrap_recovery(wrap, uid=uid, code=recovery)
    secrets = {"root": root._secret, "code value": recovery._value, "code wrap key": recovery.wrap_key()}
    return {name: secret.reveal() for name, secret in secrets.items()}


@pytest.mark.slow
@pytest.mark.long
async def test_no_secret_leaves_the_encrypted_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    everything, root_level = Everything(), logging.getLogger().level
    logging.getLogger().addHandler(everything)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with structlog.testing.capture_logs() as server_log:
            secrets, evil = await _live(tmp_path)
    finally:
        logging.getLogger().removeHandler(everything)
        logging.getLogger().setLevel(root_level)
    printed = capfd.readouterr()
    places = {
        **{f"server/{name}": held for name, held in files_of(tmp_path / "server").items()},
        **{f"profile/{name}": held for name, held in files_of(tmp_path / "profiles", but=["key.plain"]).items()},
        **{f"temporary/{name}": held for name, held in files_of(temporary).items()},
        "frames": b"\n".join(evil.seen.wire),
        "rest": b"\n".join(evil.seen.rest),
        "auth": b"\n".join(evil.seen.auth),
        "server log": repr(server_log).encode(),
        "logs": "\n".join(everything.lines).encode(),
        "printed": (printed.out + printed.err).encode(),
    }
    assert {"frames", "rest", "auth"} <= {name for name, held in places.items() if len(held) > 1000}
    assert len(places["server log"]) > 500
    assert "server/mensajeria.db" in places
    assert [len(held) for name, held in places.items() if name.endswith("store.db")]
    assert leaks(secrets, places) == []


async def _live(folder: Path) -> tuple[dict[str, bytes], EvilServer]:
    """Register by an invite, meet, write, compare emoji, link a device; the secrets of all that, while they exist."""
    evil = EvilServer(folder / "server")
    await evil.start()
    actors: dict[str, Actor] = {}
    secrets: dict[str, bytes] = {}
    invite = ""
    for name, password in PEOPLE.items():
        client = await Client.register(
            evil.url, name, password, profile=folder / "profiles" / name, invite=invite, insecure_key_file=True
        )
        actors[name] = await Actor.watch(client).online()
        assert client.recovery_code is not None
        code = client.recovery_code.reveal_text()
        account = _account(evil, name, client.recovery_code)
        secrets |= {f"{name} {what}": secret for what, secret in account.items()}
        secrets |= {f"{name} code": code.encode(), f"{name} code bare": code.replace("-", "").encode()}
        secrets |= {f"{name} password": password.encode(), f"{name} text": TEXTS[name].encode()}
        if not invite:
            invite = await _invite(evil, actors[name])
            secrets["invite secret"] = parse_link(invite).secret
    ana, bruno = actors["ana"], actors["bruno"]
    chat_id = (await ana.client.direct_chat("bruno")).chat_id
    await ana.send(chat_id, TEXTS["ana"])
    await bruno.shows(chat_id, f"ana: {TEXTS['ana']}")
    await bruno.client.accept(chat_id)
    await bruno.send(chat_id, TEXTS["bruno"])
    await ana.shows(chat_id, f"bruno: {TEXTS['bruno']}")
    await ana.client.chat(chat_id).save_draft("borrador canario 55012 Ñ")
    secrets |= await _more(folder, ana, bruno, chat_id)
    secrets |= await _make_sure(ana, bruno)
    actors["phone"], secrets["link secret"] = await _link(folder, bruno)
    await actors["phone"].shows(chat_id, f"ana: {secrets['edited'].decode()}")
    secrets["draft"] = "borrador canario 55012 Ñ".encode()
    for name, actor in actors.items():
        secrets |= {f"{name}{what}": secret for what, secret in (await _private(actor)).items()}
    for actor in actors.values():
        actor.check()
    # As it lies on the disk of a server that runs: with its write-ahead log.
    held: dict[str, Any] = await asyncio.to_thread(files_of, folder / "server")
    assert leaks(secrets, held) == []
    for actor in actors.values():
        await actor.close()
    await evil.stop()
    return secrets, evil


async def _more(folder: Path, ana: Actor, bruno: Actor, chat_id: ChatId) -> dict[str, bytes]:
    """An edit, a reaction, a file, a group, a backup file: what of all that is secret."""
    told = {
        "edited": "corregido canario Ñ 60231",
        "reaction": "👩🏽‍❤️‍💋‍👨🏿",
        "group name": "Excursión canaria 77120 Ñ",
        "group text": "grupo canario ☂ 31877",
        "file content": "contenido canario ñandú 99314 " * 40,
        "file name": "nómina canaria 40455.txt",
        "caption": "leyenda canaria Ü 18273",
        "profile name": "Ana Canaria Ñandú 66107",
        "profile status": "estado canario ☂ 40982",
    }
    await ana.client.set_profile(name=told["profile name"], status=told["profile status"])
    await bruno.until(lambda: any(isinstance(event, ProfileChanged) for event in bruno.events), "profile")
    sent = await ana.client.chat(chat_id).send_text("antes de corregir 5511 Ñ")
    await ana.client.wait_sent(sent.mid)
    await ana.client.chat(chat_id).edit(sent.mid, told["edited"])
    await bruno.shows(chat_id, f"ana: {told['edited']}")
    await bruno.client.chat(chat_id).react(sent.mid, told["reaction"])
    await ana.until(lambda: any(reacted(event, told["reaction"]) for event in ana.events), "a reaction")
    original = folder / "original" / told["file name"]
    original.parent.mkdir()
    original.write_text(told["file content"], encoding="utf-8")
    file = await ana.client.chat(chat_id).send_file(original, caption=told["caption"])
    await asyncio.wait_for(ana.client.wait_sent(file.mid), 20)
    group = await ana.client.create_group(told["group name"], ["bruno"])
    await ana.send(group.chat_id, told["group text"])
    told["backup passphrase"] = "zarzal ónice 6642 mandolina-turbia"
    await ana.client.create_backup(folder / "profiles" / "copia", passphrase=told["backup passphrase"])
    return {name: text.encode() for name, text in told.items()}


def reacted(event: Event, emoji: str) -> bool:
    return isinstance(event, MessageChanged) and emoji in {one.emoji for one in event.message.reactions}


async def _invite(evil: EvilServer, actor: Actor) -> str:
    """A link that lets somebody register and names its maker."""
    evil.server.settings = evil.server.settings.model_copy(update={"member_invites": True})
    return (await actor.client.create_invite()).link.reveal_text()


async def _make_sure(ana: Actor, bruno: Actor) -> dict[str, bytes]:
    """Both compare emoji. What goes to and fro is for the other's device only."""
    await comparing(ana, bruno)
    running = [comparison for one in (ana, bruno) for comparison in one.client._engine.verifier._running.values()]
    assert len(running) == 2
    said = {f"emoji key {number}": comparison._keys.public for number, comparison in enumerate(running)}
    await ana.client.security.confirm("bruno")
    await reaches(ana, VerificationPhase.CONFIRMED)
    await bruno.client.security.confirm("ana")
    await reaches(ana, VerificationPhase.DONE)
    await reaches(bruno, VerificationPhase.DONE)
    return {**said, "comparison": running[0].vid}


async def _link(folder: Path, bruno: Actor) -> tuple[Actor, bytes]:
    """A device of Bruno's that came by a code of his first one, and the code's secret."""
    code = (await bruno.client.link_code()).text
    profile = folder / "profiles" / "phone"
    client = await Client.link(code, PEOPLE["bruno"], profile=profile, insecure_key_file=True)
    phone = await Actor.watch(client).online()
    await client.linked()
    await bruno.until(lambda: any(isinstance(event, DeviceLinked) for event in bruno.events), "linked")
    return phone, parse_code(code.reveal_text()).secret


@pytest.mark.parametrize(
    "secret", [b"\x00\x91\xfe" * 11, "contraseña 圖 canario".encode(), b"plain-ascii-canary-32-bytes-long"]
)
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_search_finds_what_is_planted(secret: bytes, shift: int) -> None:
    """A search that cannot find anything would prove nothing."""
    around = bytes(range(7, 7 + shift)) + secret + b"tail!"
    planted = {
        "raw": b"x" + secret + b"y",
        "hex": b"x" + secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "base64": base64.b64encode(around),
        "base64url": base64.urlsafe_b64encode(around),
    }
    for place, held in planted.items():
        assert any(form.startswith(place) for _, form, _ in leaks({"it": secret}, {"somewhere": held})), place
    assert leaks({"it": secret}, {"somewhere": b"nothing of it" * 100}) == []


def test_the_search_finds_text_in_utf16_and_keys_as_numbers() -> None:
    text, key = "canario Ñ 圖 ocho", bytes(range(200, 232))
    for encoding in ("utf-16-le", "utf-16-be", "utf-16"):
        assert leaks({"it": text.encode()}, {"somewhere": b"\0" + text.encode(encoding)})
    assert leaks({"it": key}, {"somewhere": str(list(key)).replace(" ", "").encode()})
    assert "utf-16-le" in forms(key)


def test_the_search_finds_a_key_that_a_server_was_given(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "left-behind").write_text("password=" + PEOPLE["ana"])
    found = leaks({"ana": PEOPLE["ana"].encode()}, files_of(tmp_path))
    assert found == [("ana", "raw", "secrets/left-behind")]
