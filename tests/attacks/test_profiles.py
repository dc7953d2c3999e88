"""Profiles on a hostile server: what it serves instead of the named one has no effect, and is told."""

from __future__ import annotations

import io

from PIL import Image

from mensajeria.client.api import ProfileChanged, UserProfile
from mensajeria.protocol.ids import Uid, b64, unb64
from tests.attacks.evil import Json, Rule
from tests.attacks.stage import Actor, Stage


class Serve(Rule):
    """Somebody's profile is served as this."""

    def __init__(self, uid: bytes, *, ver: int | None = None, sealed: str | None = None, flip: bool = False) -> None:
        self._path = f"/v1/users/{b64(uid)}/profile"
        self._change = {name: value for name, value in (("ver", ver), ("sealed", sealed)) if value is not None}
        self._flip = flip

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if path != self._path:
            return answer
        if not self._flip:
            return {**answer, **self._change}
        sealed = unb64(answer["sealed"])
        return {**answer, "sealed": b64(sealed[:-1] + bytes([sealed[-1] ^ 1]))}


class Listening(Rule):
    """Remembers the sealed profiles that pass."""

    def __init__(self) -> None:
        self.served: list[Json] = []

    def rest(self, to: bytes | None, method: str, path: str, answer: Json) -> Json:
        if path.endswith("/profile"):
            self.served.append(answer)
        return answer


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "JPEG")
    return out.getvalue()


async def sees(reader: Actor, profile: UserProfile) -> None:
    """Wait until a contact's profile is here."""
    await reader.until(
        lambda: any(isinstance(event, ProfileChanged) and event.profile == profile for event in reader.events), "seen"
    )


async def test_a_profile_served_old_swapped_or_altered_has_no_effect_and_is_told(stage: Stage) -> None:
    ana, bruno = await stage.pair()
    stage.evil.rule = listening = Listening()
    await ana.client.set_profile(name="Ana Canaria", status="De viaje", picture=jpeg())
    first = UserProfile("Ana Canaria", "De viaje", jpeg())
    await sees(bruno, first)
    await bruno.client.set_profile(name="Bruno")
    await sees(ana, UserProfile("Bruno"))
    old, brunos = listening.served[0], listening.served[-1]

    lies = [
        Serve(ana.uid, ver=old["ver"], sealed=old["sealed"]),  # rolled back
        Serve(ana.uid, sealed=brunos["sealed"]),  # another person's
        Serve(ana.uid, flip=True),  # one byte
    ]
    shown = first
    for number, lie in enumerate(lies, 1):
        stage.evil.rule = lie
        await ana.client.set_profile(status=f"En casa {number}")
        await bruno.until(lambda: bruno.warnings().count("profile_refused") == number, "told")  # noqa: B023 - run at once
        assert await bruno.client.profile_of("ana") == shown
        stage.evil.rule = Rule()
        await ana.client.set_profile(status=f"Aquí {number}")
        shown = UserProfile("Ana Canaria", f"Aquí {number}", jpeg())
        await sees(bruno, shown)
    assert ana.warnings() == []
    stored = (stage.folder / "server").rglob("*.db*")
    assert all(b"Canaria" not in path.read_bytes() for path in stored), "the server cannot read it"


async def test_who_was_blocked_gets_nothing_even_from_a_server_that_helps(stage: Stage) -> None:
    """The server gives Bruno whatever it has: it is sealed under a key that he was not given."""
    ana, bruno = await stage.pair()
    await ana.client.set_profile(name="Ana")
    await sees(bruno, UserProfile("Ana"))
    key = await bruno.read(lambda tx: tx.profiles.get(Uid(ana.uid)))
    await ana.client.block("bruno")
    await ana.client.set_profile(status="Solo amigas")
    await ana.client.profile_published()
    mine = await ana.read(lambda tx: tx.profiles.get(Uid(ana.uid)))
    assert key is not None
    assert mine is not None
    assert mine.ver > key.ver
    assert mine.key.reveal() != key.key.reveal()
    still = await bruno.read(lambda tx: tx.profiles.get(Uid(ana.uid)))
    assert still is not None
    assert (still.ver, still.shown) == (key.ver, UserProfile("Ana"))
