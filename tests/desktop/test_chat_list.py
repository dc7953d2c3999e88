from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QAbstractItemModelTester

from mensajeria.desktop.viewmodels.chat_list import ChatListModel
from mensajeria.desktop.viewmodels.profiles import ProfileRow, ProfilesModel
from mensajeria.desktop.viewmodels.types import MessageState
from tests.desktop.material import chat

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.wording import Wording


@pytest.fixture
def profiles(qapp: object) -> ProfilesModel:
    return ProfilesModel()


@pytest.fixture
def model(profiles: ProfilesModel, wording: Wording) -> ChatListModel:
    made = ChatListModel(wording, profiles)
    QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Fatal, made)
    return made


def titles(model: ChatListModel) -> list[str]:
    return [row.title for row in model.visible]


def test_newest_chat_is_first(model: ChatListModel) -> None:
    model.put([chat("1", "Ana", 10), chat("2", "Bruno", 30), chat("3", "Carla", 20)])
    assert titles(model) == ["Bruno", "Carla", "Ana"]


def test_a_chat_moves_up_with_its_message(model: ChatListModel) -> None:
    model.put([chat("1", "Ana", 10), chat("2", "Bruno", 30), chat("3", "Carla", 20)])
    model.put([chat("1", "Ana", 40)])
    assert titles(model) == ["Ana", "Bruno", "Carla"]
    model.put([chat("1", "Ana", 25)])
    assert titles(model) == ["Bruno", "Ana", "Carla"]


def test_big_batches_end_in_the_same_order(model: ChatListModel) -> None:
    rows = [chat(str(place), f"Chat {place}", (place * 37) % 101) for place in range(50)]
    model.put(rows)
    stepwise = ChatListModel(model._wording, model._profiles)
    for row in rows:
        stepwise.put([row])
    assert titles(model) == titles(stepwise)


def test_search_ignores_case_and_accents(model: ChatListModel) -> None:
    model.put([chat("1", "Lucía Fernández"), chat("2", "Bruno", handle="lux")])
    model.set_filter("lucia", unread_only=False)
    assert titles(model) == ["Lucía Fernández"]
    model.set_filter("@lux", unread_only=False)
    assert titles(model) == ["Bruno"]


def test_unread_only_keeps_the_open_chat(model: ChatListModel) -> None:
    model.put([chat("1", "Ana", 1, unread=2), chat("2", "Bruno", 2), chat("3", "Carla", 3, unread=1)])
    model.set_filter("", unread_only=True, keep="3")
    assert titles(model) == ["Carla", "Ana"]
    model.put([chat("3", "Carla", 3)])
    assert titles(model) == ["Carla", "Ana"]
    model.put([chat("1", "Ana", 1)])
    assert titles(model) == ["Carla"]


def test_gone_chats_go(model: ChatListModel) -> None:
    model.put([chat("1", "Ana"), chat("2", "Bruno")])
    model.put([], gone=["1", "unknown"])
    assert titles(model) == ["Bruno"]
    assert model.find("1") is None


def test_screen_readers_hear_the_whole_row(model: ChatListModel) -> None:
    row = chat("1", "Ana Soto", preview="hola", unread=3, online=True, last_state=MessageState.NONE)
    model.put([row])
    role = Qt.ItemDataRole.AccessibleTextRole
    assert model.data(model.index(0), role) == "Ana Soto, en línea, 3 mensajes sin leer, hola, Ayer"
    model.put([replace(row, draft="mañana", unread=0)])
    assert model.data(model.index(0), role) == "Ana Soto, en línea, Borrador: mañana, Ayer"


def test_counts_follow(model: ChatListModel) -> None:
    model.put([chat("1", "Ana", unread=1), chat("2", "Bruno")])
    assert (model.total, model.unread_chats) == (2, 1)


def test_a_person_is_found_by_the_name_of_their_profile(model: ChatListModel, profiles: ProfilesModel) -> None:
    model.put(
        [chat("1", "lola88", 10, peer="u1"), chat("2", "Bruno", 30, peer="u2"), chat("3", "Ruta", 20, group=True)]
    )
    model.set_filter("Ibañ", unread_only=False)
    assert titles(model) == []
    profiles.put([ProfileRow("u1", "Dolores Ibáñez")])
    assert titles(model) == ["lola88"]
    assert [row.title for row in model.matching("dolores")] == ["lola88"]
    profiles.put([ProfileRow("u1", "")])
    assert titles(model) == []
