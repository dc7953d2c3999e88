"""Keys that a member was left out of: given from the right index on once the person has decided."""

from __future__ import annotations

from mensajeria.crypto.sender import decode_room_key
from tests.client.engine.circle import Log, show
from tests.client.engine.test_rows_and_sealing import give_key, write
from tests.client.engine.trio import Desks, blocked, desks, due, log, plan, trio

__all__ = ["desks", "log", "trio"]


# --- withheld and given later


async def test_an_accepted_member_gets_the_key_from_the_first_message_it_was_left_out_of(
    desks: Desks, log: Log
) -> None:
    ana, _, carla = desks
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    items, _ = await write(ana, log.chat_id, "dos")
    assert await due(ana) == []
    await blocked(ana, carla, yes=False)
    assert ana.last.giving
    (letter,) = await due(ana)
    assert (letter.did, letter.session_id, letter.idx) == (carla.me.did, items[0].sealed.session_id, 0)  # type: ignore[union-attr]
    await give_key(carla, ana, letter.content)


async def test_of_a_session_that_had_begun_before_only_the_rest_is_withheld(desks: Desks, log: Log) -> None:
    """Another device of Carla's gets it from the message on that she was left out of, not from the start."""
    ana, _, carla = desks
    await write(ana, log.chat_id, "cero")
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    (name,) = await ana.store.read(lambda tx: tx.own.names("withheld:"))
    kept = await ana.store.read(lambda tx: tx.own.get(name))
    assert kept is not None
    assert decode_room_key(kept.reveal()).first_index == 1


async def test_sessions_that_ended_while_a_member_was_left_out_are_given_too(desks: Desks, log: Log) -> None:
    ana, bruno, carla = desks
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    await show(ana, log.put(log.next(bruno.who, "leave", who=bruno.who.uid)))
    items, _ = await write(ana, log.chat_id, "dos")
    await blocked(ana, carla, yes=False)
    sessions = [item.sealed.session_id for item in items if item.sealed is not None]
    assert len(set(sessions)) == 2
    assert [letter.session_id for letter in await due(ana)] == sessions


async def test_the_next_message_brings_the_withheld_key_as_well(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    await blocked(ana, carla, yes=False)
    (letter,) = (await plan(ana, log, "dos")).letters
    assert (letter.did, letter.idx) == (carla.me.did, 0)
    assert decode_room_key(letter.content).first_index == 0


async def test_what_was_withheld_goes_to_nobody_who_was_removed_since(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    await show(ana, log.put(log.next(ana.who, "remove", who=carla.who.uid)))
    await blocked(ana, carla, yes=False)
    assert await due(ana) == []
    assert await ana.store.read(lambda tx: tx.own.names("withheld:")) == ()


async def test_what_was_given_is_not_kept(desks: Desks, log: Log) -> None:
    ana, _, carla = desks
    await blocked(ana, carla, yes=True)
    await write(ana, log.chat_id, "uno")
    await blocked(ana, carla, yes=False)
    await write(ana, log.chat_id, "dos")
    assert await due(ana) == []
    assert await ana.store.read(lambda tx: tx.own.names("withheld:")) == ()
