"""What the windows ask about groups, people and the account, answered by a real client of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from mensajeria.client import Client
from mensajeria.client.api import MUTED_FOREVER
from mensajeria.desktop.bridge.backend import SignedIn
from mensajeria.desktop.bridge.batch import Batcher
from mensajeria.desktop.bridge.updates import Answered, ChatsPut, Finished, ProfilesPut, Update
from mensajeria.desktop.viewmodels import asking
from mensajeria.desktop.viewmodels.finding import stretches, words_of
from mensajeria.kit.secrets import Secret
from tests.cli.servers import PASSWORD, RunningServer, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WAIT_S = 60.0
A = TypeVar("A")


class Window:
    """What a window would be told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.updates: list[Update] = []
        self._came = asyncio.Event()
        self.desk = SignedIn(client, Batcher(asyncio.get_running_loop(), self._take), "Notas")

    def _take(self, batch: tuple[Update, ...]) -> None:
        self.updates.extend(batch)
        self._came.set()

    async def until(self, found: Callable[[], A | None]) -> A:
        """Wait for what the updates must come to say."""
        async with asyncio.timeout(WAIT_S):
            while (value := found()) is None:
                self._came.clear()
                await self._came.wait()
        return value

    async def ask(self, request: asking.Request) -> str:
        """Ask; the error's code, or empty."""
        await self.desk.answers.answer(request)

        def ended() -> Finished | None:
            return next((one for one in self.updates if isinstance(one, Finished) and one.request is request), None)

        finished = await self.until(ended)
        return "" if finished.error is None else finished.error.code

    def told(self, kind: type[A]) -> A | None:
        """The newest answer of a kind."""
        answers = [one.answer for one in self.updates if isinstance(one, Answered)]
        return next((answer for answer in reversed(answers) if isinstance(answer, kind)), None)

    async def asked_for(self, request: asking.Request, kind: type[A]) -> A:
        """Ask for what is shown."""
        assert await self.ask(request) == ""
        answer = self.told(kind)
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path, Path]]:
    """A server, and the profiles of Ana and Bruno."""
    folder = tmp_path_factory.mktemp("answers")

    async def register(server: RunningServer) -> None:
        for name in ("ana", "bruno"):
            client = await Client.register(
                server.url, name, PASSWORD, profile=folder / name, device_name=name, insecure_key_file=True
            )
            await client.close()

    with running_server(folder / "server") as running:
        asyncio.run(register(running))
        yield running, folder / "ana", folder / "bruno"


@asynccontextmanager
async def window(profile: Path) -> AsyncIterator[Window]:
    """A profile's client, followed as the windows follow it."""
    async with await Client.open(profile) as client:
        made = Window(client)
        following = asyncio.create_task(made.desk.run())
        await client.caught_up()
        yield made
    await following


async def test_the_own_profile(people: tuple[RunningServer, Path, Path], tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "teal").save(tmp_path / "a.png")
    async with window(people[1]) as ana:
        said = await ana.asked_for(asking.SetProfile("Ana Soto", "de viaje", tmp_path / "a.png"), asking.ProfileIs)
        assert said == asking.ProfileIs("Ana Soto", "de viaje", has_picture=True)
        await ana.until(lambda: next((one for one in ana.updates if isinstance(one, ProfilesPut) and one.rows), None))
        assert await ana.ask(asking.SetProfile("@ana", "")) == "profile_name_invalid"
        said = await ana.asked_for(asking.SetProfile("", "de viaje", no_picture=True), asking.ProfileIs)
        assert said == await ana.asked_for(asking.LoadProfile(), asking.ProfileIs)
        assert said == asking.ProfileIs("", "de viaje", has_picture=False)


async def test_groups(people: tuple[RunningServer, Path, Path], tmp_path: Path) -> None:
    async with window(people[1]) as ana, window(people[2]):
        assert (await ana.asked_for(asking.FindPerson("nadie"), asking.Found)).person is None
        found = await ana.asked_for(asking.FindPerson("bruno"), asking.Found)
        assert found.person is not None
        assert await ana.ask(asking.FindPerson("¡!")) == "handle_invalid"
        group = (await ana.asked_for(asking.CreateGroup("Ruta", ("bruno",)), asking.GroupMade)).chat_id
        rows = [row for one in ana.updates if isinstance(one, ChatsPut) for row in one.rows if row.chat_id == group]
        assert [rows[-1].title, rows[-1].role] == ["Ruta", "owner"]
        assert await ana.ask(asking.RenameGroup(group, "Montes", "Los domingos")) == ""
        assert await ana.ask(asking.SetGroupPicture(group, tmp_path / "no.png")) == "file_unreadable"
        Image.new("RGB", (60, 40), "teal").save(tmp_path / "a.png")
        assert await ana.ask(asking.SetGroupPicture(group, tmp_path / "a.png")) == ""
        assert await ana.ask(asking.ChangeRole(group, "bruno", "admin")) == ""
        info = await ana.asked_for(asking.LookAtChat(group), asking.ChatInfo)
        assert (info.role, info.description) == ("owner", "Los domingos")
        assert {one.person.handle: one.role for one in info.members} == {"ana": "owner", "bruno": "admin"}
        assert await ana.ask(asking.AddMembers(group, ("nadie",))) == "unknown_user"
        assert await ana.ask(asking.LeaveGroup(group)) == "owner_stays"
        assert await ana.ask(asking.RemoveMember(group, "bruno")) == ""
        assert len((await ana.asked_for(asking.LookAtChat(group), asking.ChatInfo)).members) == 1
        assert await ana.ask(asking.AddMembers(group, ("bruno",), "all")) == ""


async def test_a_search_in_a_chat(people: tuple[RunningServer, Path, Path]) -> None:
    async with window(people[1]) as ana:
        chat = await ana.client.direct_chat("ana")
        texts = ("El tren sale a las seis", "Nada", "¿Qué trén?", "Entrenar")
        sent = [await chat.send_text(text) for text in texts]
        for one in sent:
            await ana.client.wait_sent(one.mid)
        wanted = asking.SearchChat(chat.chat_id.hex(), "TREN")
        found = await ana.asked_for(wanted, asking.ChatFound)
        order = {message.text: message.order for message in (await chat.page()).messages}
        assert found.positions == (order["¿Qué trén?"], order["El tren sale a las seis"])
        assert found.whole
        marked = [text for text in texts if stretches(text, words_of("TREN"))]
        assert marked == ["El tren sale a las seis", "¿Qué trén?"], "what is found is what is marked"


async def test_a_chat_is_muted_and_the_list_shows_it(people: tuple[RunningServer, Path, Path]) -> None:
    async with window(people[1]) as ana:
        chat = (await ana.client.direct_chat("ana")).chat_id.hex()

        def until() -> list[int]:
            rows = [row for one in ana.updates if isinstance(one, ChatsPut) for row in one.rows if row.chat_id == chat]
            return [row.muted_until_ms for row in rows]

        assert await ana.ask(asking.Mute(chat, None)) == ""
        await ana.until(lambda: True if MUTED_FOREVER in until() else None)
        assert await ana.ask(asking.Mute(chat, 0)) == ""
        await ana.until(lambda: True if until()[-1] == 0 else None)
        assert await ana.ask(asking.Mute(chat, -1)) == "timer_invalid"


async def test_people_and_the_account(people: tuple[RunningServer, Path, Path], tmp_path: Path) -> None:
    async with window(people[1]) as ana:
        assert await ana.ask(asking.FindPerson("bruno")) == ""
        info = await ana.asked_for(asking.LookAtPerson("bruno"), asking.PersonInfo)
        assert len(info.number.split()) == 12
        assert len(info.code) == len(info.code[0]) > 20
        assert await ana.ask(asking.CheckCode("bruno", "0" * 60)) != ""
        checked = await ana.asked_for(asking.CheckCode("bruno", info.number), asking.PersonInfo)
        assert checked.person.verified
        assert not (await ana.asked_for(asking.WithdrawTrust("bruno"), asking.PersonInfo)).person.verified
        chat = (await ana.client.direct_chat("bruno")).chat_id.hex()
        for on in (True, False):
            await ana.asked_for(asking.SetBlocked("bruno", on), asking.BlockMoved)
            seen = (await ana.asked_for(asking.LookAtChat(chat), asking.ChatInfo)).person
            assert seen is not None
            assert seen.blocked is on
            blocked = await ana.asked_for(asking.LoadBlocked(), asking.Blocked)
            assert [one.handle for one in blocked.people] == (["bruno"] if on else [])
        assert await ana.ask(asking.SetBlocked("ana", on=True)) == "own_account"
        assert await ana.ask(asking.DraftReport("bruno", " ")) == "empty_text"
        draft = await ana.asked_for(asking.DraftReport("bruno", "Me amenaza"), asking.ReportDrafted)
        assert draft.text == "Me amenaza"
        assert (await ana.asked_for(asking.SendReport("bruno", draft.text), asking.ReportSent)).number == 1
        [device] = (await ana.asked_for(asking.LoadDevices(), asking.Devices)).rows
        renamed = await ana.asked_for(asking.RenameDevice(device.did, "portátil"), asking.Devices)
        assert [row.name for row in renamed.rows] == ["portátil"]
        assert (await ana.asked_for(asking.LoadBackup(), asking.BackupInfo)).current
        stored = await ana.asked_for(asking.LoadStorage(), asking.StorageIs)
        assert (stored.folder, stored.bytes > 10_000) == (str(people[1]), True)
        assert (await ana.asked_for(asking.LoadHealth(), asking.HealthInfo)).well
        await ana.asked_for(asking.LoadPrivacy(), asking.PrivacyIs)
        assert (await ana.asked_for(asking.SetPrivacy("typing", on=False), asking.PrivacyIs)).typing is False
        made = await ana.asked_for(asking.MakeBackup(tmp_path / "a", Secret.from_text(PASSWORD)), asking.BackupMade)
        assert (made.name, (tmp_path / "a").exists()) == ("a", True)
        wrong = asking.ChangePassword(Secret.from_text("otra"), Secret.from_text("una frase nueva y larga 99"))
        assert await ana.ask(wrong) == "bad_credentials"


async def test_a_device_is_linked_by_the_code_that_the_window_shows(
    people: tuple[RunningServer, Path, Path], tmp_path: Path
) -> None:
    async with window(people[2]) as bruno:
        link = await bruno.asked_for(asking.MakeLink(), asking.LinkMade)
        assert len(link.code) > 40
        assert Client.read_link(link.text).handle == "bruno"
        async with await Client.link(
            link.text, PASSWORD, profile=tmp_path / "tablet", device_name="tablet", insecure_key_file=True
        ) as tablet:
            used = await bruno.until(lambda: bruno.told(asking.LinkUsed))
            assert used.name == "tablet"
            assert [row.is_new for row in await bruno.client.devices()] == [False, False]
            assert tablet.me.uid == bruno.client.me.uid
