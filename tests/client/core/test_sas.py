"""Comparing emoji: two state machines talk to each other, and what an attacker between them can try."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mensajeria.client.core import sas
from mensajeria.client.core.emoji import EMOJI, emoji_of
from mensajeria.client.core.sas import Comparison, Effect, Ended, Send, Show, Step, Verified
from mensajeria.client.i18n import LANGUAGES, catalogue
from mensajeria.crypto.sas import Party, SasError, SasKeys, commitment
from mensajeria.protocol.encoding import MalformedError, encode
from mensajeria.protocol.records_trust import CANCEL, KEY, MAC, Verify, decode_verify

SERVER, VID, NOW = b"s" * 16, b"v" * 16, 1_790_000_000_000
ANA = Party(b"a" * 16, b"A" * 16, b"1" * 32)
BRUNO = Party(b"b" * 16, b"B" * 16, b"2" * 32)
EVE = Party(b"b" * 16, b"E" * 16, b"2" * 32)
"""Another device of Bruno's."""


def steps(effects: list[Effect]) -> list[Verify]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def ends(effects: list[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Ended)]


class Pair:
    """Ana has asked, Bruno has accepted, and both see emoji."""

    def __init__(self) -> None:
        self.ana, asked = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
        assert [step.step for step in steps(asked)] == ["request"]
        self.bruno, accepted = Comparison.accept(SERVER, VID, BRUNO, ANA, NOW)
        (self.commit,) = steps(accepted)
        (self.key, self.elsewhere) = steps(self.ana.received(BRUNO, self.commit, NOW))
        (self.reveal,) = steps(self.bruno.received(ANA, self.key, NOW))

    def compare(self) -> Pair:
        self.ana.received(BRUNO, self.reveal, NOW)
        return self


def test_both_see_the_same_seven_emoji() -> None:
    pair = Pair().compare()
    assert pair.ana.emoji == pair.bruno.emoji
    assert len(pair.ana.emoji) == 7
    assert pair.ana.step is pair.bruno.step is Step.COMPARING


def test_both_have_to_confirm() -> None:
    pair = Pair().compare()
    (mac,) = pair.ana.confirm(NOW)
    assert isinstance(mac, Send)
    assert pair.bruno.received(ANA, mac.message, NOW) == []
    back, done = pair.bruno.confirm(NOW)
    assert done == Verified(ANA.uid, ANA.idfp)
    assert isinstance(back, Send)
    assert pair.ana.received(BRUNO, back.message, NOW) == [Verified(BRUNO.uid, BRUNO.idfp)]
    assert pair.ana.is_over
    assert pair.bruno.is_over


def test_every_run_shows_others() -> None:
    assert len({Pair().compare().ana.emoji for _ in range(8)}) > 1


def test_who_accepts_on_one_device_ends_it_on_the_others() -> None:
    pair = Pair()
    assert pair.elsewhere.step == CANCEL
    assert pair.elsewhere.data == sas.OTHER_DEVICE.encode()


def test_a_key_that_was_not_committed_to_ends_it() -> None:
    pair = Pair()
    forged = msgspec.structs.replace(pair.reveal, data=SasKeys().public)
    effects = pair.ana.received(BRUNO, forged, NOW)
    assert ends(effects) == [sas.BAD_COMMIT]
    assert not any(isinstance(effect, Show) for effect in effects)
    assert pair.ana.emoji == ()


def test_the_commitment_names_the_people_and_the_comparison() -> None:
    key = SasKeys().public
    made = commitment(VID, ANA, BRUNO, key)
    others = [
        commitment(b"w" * 16, ANA, BRUNO, key),
        commitment(VID, BRUNO, ANA, key),
        commitment(VID, ANA, EVE, key),
        commitment(VID, ANA, BRUNO, SasKeys().public),
    ]
    assert made not in others


def test_other_keys_in_the_middle_show_other_emoji_or_are_noticed() -> None:
    """Mallory talks to each with a key of her own: the chance of equal emoji is 2^-42."""
    ana, _ = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
    bruno, accepted = Comparison.accept(SERVER, VID, BRUNO, ANA, NOW)
    mallory = SasKeys()
    lie = Verify(vid=VID, step="accept", data=commitment(VID, ANA, BRUNO, mallory.public))
    ana.received(BRUNO, lie, NOW)
    ana.received(BRUNO, Verify(vid=VID, step=KEY, data=mallory.public), NOW)
    assert len(steps(accepted)) == 1
    bruno.received(ANA, Verify(vid=VID, step=KEY, data=SasKeys().public), NOW)
    assert ana.emoji != bruno.emoji


@pytest.mark.parametrize("end", [0, 31])
def test_a_false_mac_ends_it(end: int) -> None:
    pair = Pair().compare()
    (mac,) = pair.ana.confirm(NOW)
    assert isinstance(mac, Send)
    data = bytearray(mac.message.data)
    data[end] ^= 1
    assert ends(pair.bruno.received(ANA, Verify(vid=VID, step=MAC, data=bytes(data)), NOW)) == [sas.BAD_MAC]
    assert pair.bruno.confirm(NOW) == []


def test_a_mac_does_not_pass_for_the_other_sides() -> None:
    pair = Pair().compare()
    (mac,) = pair.ana.confirm(NOW)
    assert isinstance(mac, Send)
    assert ends(pair.ana.received(BRUNO, mac.message, NOW)) == [sas.BAD_MAC]


def test_the_mac_is_over_the_identity() -> None:
    """Bruno believes that he talks to another identity of Ana's: the transcript differs, nothing fits."""
    ana, _ = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
    false_ana = Party(ANA.uid, ANA.did, b"9" * 32)
    bruno, (accepted,) = Comparison.accept(SERVER, VID, BRUNO, false_ana, NOW)
    assert isinstance(accepted, Send)
    honest = Verify(vid=VID, step="accept", data=commitment(VID, ANA, BRUNO, bruno._keys.public))
    key = steps(ana.received(BRUNO, honest, NOW))[0]
    (reveal,) = steps(bruno.received(false_ana, key, NOW))
    ana.received(BRUNO, reveal, NOW)
    assert ana.emoji != bruno.emoji
    (mac,) = ana.confirm(NOW)
    assert isinstance(mac, Send)
    assert ends(bruno.received(false_ana, mac.message, NOW)) == [sas.BAD_MAC]


def test_another_device_cannot_go_on_with_it() -> None:
    pair = Pair()
    assert pair.ana.received(EVE, pair.reveal, NOW) == []
    assert pair.ana.step is Step.KEY_SENT


def test_another_identity_ends_it() -> None:
    ana, _ = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
    changed = Party(BRUNO.uid, BRUNO.did, b"9" * 32)
    effects = ana.received(changed, Verify(vid=VID, step="accept", data=bytes(32)), NOW)
    assert ends(effects) == [sas.IDENTITY]


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_a_key_of_small_order_ends_it(key: bytes) -> None:
    bruno, _ = Comparison.accept(SERVER, VID, BRUNO, ANA, NOW)
    assert ends(bruno.received(ANA, Verify(vid=VID, step=KEY, data=key), NOW)) == [sas.BAD_KEY]


def test_a_key_pair_serves_once() -> None:
    keys, other = SasKeys(), SasKeys()
    keys.agree(other.public)
    with pytest.raises(SasError):
        keys.agree(SasKeys().public)


def test_a_repeated_step_ends_it() -> None:
    pair = Pair().compare()
    assert ends(pair.bruno.received(ANA, pair.key, NOW)) == [sas.OUT_OF_ORDER]


def test_a_repeated_mac_ends_it() -> None:
    pair = Pair().compare()
    (mac,) = pair.ana.confirm(NOW)
    assert isinstance(mac, Send)
    pair.bruno.received(ANA, mac.message, NOW)
    assert ends(pair.bruno.received(ANA, mac.message, NOW)) == [sas.OUT_OF_ORDER]


def test_another_comparison_s_step_has_no_effect() -> None:
    pair = Pair()
    assert pair.ana.received(BRUNO, msgspec.structs.replace(pair.reveal, vid=b"w" * 16), NOW) == []


def test_it_ends_by_time() -> None:
    pair = Pair().compare()
    late = NOW + sas.LIFE_MS
    assert pair.ana.look(late - 1) == []
    assert ends(pair.ana.look(late)) == [sas.TIMEOUT]
    assert ends(pair.bruno.confirm(late)) == [sas.TIMEOUT]
    assert pair.ana.look(late) == []


def test_nothing_is_confirmed_before_there_is_something_to_compare() -> None:
    pair = Pair()
    assert pair.ana.confirm(NOW) == []
    assert pair.ana.step is Step.KEY_SENT


def test_a_person_ends_it_for_both() -> None:
    pair = Pair().compare()
    (send, ended) = pair.ana.end(sas.MISMATCH)
    assert ended == Ended(sas.MISMATCH, by_me=True)
    assert isinstance(send, Send)
    assert pair.bruno.received(ANA, send.message, NOW) == [Ended(sas.MISMATCH, by_me=False)]
    assert pair.bruno.received(ANA, send.message, NOW) == []


def test_an_unknown_reason_counts_as_cancelled() -> None:
    pair = Pair()
    assert ends(pair.bruno.received(ANA, Verify(vid=VID, step=CANCEL, data=b"whatever"), NOW)) == [sas.BY_PERSON]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_step_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert encode(decode_verify(data)) == data


@pytest.mark.parametrize(
    ("step", "data"),
    [("request", b"x"), ("accept", b"x" * 31), ("key", b""), ("mac", b"x" * 33), ("cancel", b""), ("cancel", b"A")],
)
def test_a_step_has_the_data_of_that_step(step: str, data: bytes) -> None:
    raw = encode({"v": 1, "vid": VID, "step": step, "data": data})
    with pytest.raises(MalformedError):
        decode_verify(raw)


def test_there_are_64_emoji_and_each_has_a_name_in_both_languages() -> None:
    assert len(set(EMOJI)) == 64
    assert len({name for _, name in EMOJI}) == 64
    for language in LANGUAGES:
        words = [catalogue(language)[f"emoji.{name}"] for _, name in EMOJI]
        assert len(set(words)) == 64
    assert emoji_of([0, 63]) == (("🐶", "dog"), ("📌", "pin"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_words(language: str) -> None:
    assert {f"verification.{reason}" for reason in sas.REASONS} <= catalogue(language).keys()
