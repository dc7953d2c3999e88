"""Comparing emoji as docs/protocol/e2ee.md §10 writes it, step by step: what two ends that err alike do not notice."""

from __future__ import annotations

import msgspec
import pytest
import vodozemac

from mensajeria.client.core import sas
from mensajeria.client.core.sas import LIFE_MS, Comparison, Send, Show
from mensajeria.crypto.sas import Agreement, Party, SasKeys, commitment
from mensajeria.protocol.records_trust import KEY, MAC, Verify
from mensajeria.protocol.signing import from_olm_base64, to_olm_base64
from tests.client.core.test_sas import ANA, BRUNO, EVE, NOW, SERVER, VID, Pair, ends, steps
from tests.second.encoding import h

PEOPLE = (ANA.uid, ANA.did, ANA.idfp, BRUNO.uid, BRUNO.did, BRUNO.idfp)


def established(mine: vodozemac.Sas, theirs: bytes) -> vodozemac.EstablishedSas:
    return mine.diffie_hellman(vodozemac.Curve25519PublicKey.from_bytes(theirs))


def test_another_program_that_knows_the_document_only_takes_part() -> None:
    """Bruno's side is written here from the page, with vodozemac."""
    ana, asked = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
    assert asked == [Send(None, Verify(vid=VID, step="request"))]
    his = vodozemac.Sas()
    public = from_olm_base64(his.public_key.to_base64())
    accept = Verify(vid=VID, step="accept", data=h("sas-commit", VID, *PEOPLE, public))
    key, elsewhere = ana.received(BRUNO, accept, NOW)
    assert isinstance(key, Send)
    assert (key.did, key.message.vid, key.message.step, key.but) == (BRUNO.did, VID, KEY, None)
    other_device = Verify(vid=VID, step="cancel", data=b"other_device")
    assert elsewhere == Send(None, other_device, but=BRUNO.did)

    agreed = established(his, key.message.data)
    t = h("sas", SERVER, VID, *PEOPLE, key.message.data, public).hex()
    assert ana.received(BRUNO, Verify(vid=VID, step=KEY, data=public), NOW) == [
        Show(tuple(agreed.bytes(f"emoji|{t}").emoji_indices))
    ]
    (mac,) = ana.confirm(NOW)
    assert isinstance(mac, Send)
    agreed.verify_mac(ANA.idfp.hex(), f"mac|starter|{t}", to_olm_base64(mac.message.data))
    back = from_olm_base64(agreed.calculate_mac(BRUNO.idfp.hex(), f"mac|accepter|{t}"))
    assert ana.received(BRUNO, Verify(vid=VID, step=MAC, data=back), NOW) == [sas.Verified(BRUNO.uid, BRUNO.idfp)]


def test_between_two_devices_of_one_identity_a_mac_says_whose_it_is() -> None:
    """Both MACs are over the same fingerprint: only the role tells them apart."""
    other = Party(ANA.uid, b"Z" * 16, ANA.idfp)
    one, two = vodozemac.Sas(), vodozemac.Sas()
    keys = [from_olm_base64(one_of.public_key.to_base64()) for one_of in (one, two)]
    made = Agreement.of(
        established(one, keys[1]),
        server_id=SERVER,
        vid=VID,
        starter=ANA,
        accepter=other,
        starter_key=keys[0],
        accepter_key=keys[1],
    )
    assert made.mac(ANA) != made.mac(other)
    assert made.has_confirmed(other, made.mac(other))
    assert not made.has_confirmed(other, made.mac(ANA))
    assert (made.starter, made.accepter) == (ANA, other)


def test_who_starts_reveals_its_key_once() -> None:
    pair = Pair()
    assert steps(pair.ana.received(BRUNO, pair.reveal, NOW)) == []


def test_every_step_names_its_device_and_comparison() -> None:
    pair = Pair()
    (reveal,) = (e for e in [*Pair().bruno.end(sas.BY_PERSON)] if isinstance(e, Send))
    assert (reveal.did, reveal.message) == (ANA.did, Verify(vid=VID, step="cancel", data=b"by_person"))
    assert {step.vid for step in (pair.commit, pair.key, pair.elsewhere, pair.reveal)} == {VID}


@pytest.mark.parametrize(("late", "expected"), [(LIFE_MS - 1, []), (LIFE_MS, [sas.TIMEOUT])])
def test_a_step_in_the_last_moment_counts_and_one_at_the_deadline_does_not(late: int, expected: list[str]) -> None:
    pair = Pair()
    assert ends(pair.ana.received(BRUNO, pair.reveal, NOW + late)) == expected


def test_the_end_is_told_to_the_device_that_takes_part() -> None:
    asked, _ = Comparison.begin(SERVER, VID, ANA, BRUNO.uid, BRUNO.idfp, NOW)
    (cancel, _) = asked.end(sas.BY_PERSON)
    assert isinstance(cancel, Send)
    assert cancel.did is None
    pair = Pair()
    effects = pair.ana.received(BRUNO, msgspec.structs.replace(pair.reveal, data=SasKeys().public), NOW)
    assert [effect.did for effect in effects if isinstance(effect, Send)] == [BRUNO.did]


def test_the_commitment_is_the_documents() -> None:
    key = SasKeys().public
    assert commitment(VID, ANA, BRUNO, key) == h("sas-commit", VID, *PEOPLE, key)
    assert commitment(VID, ANA, EVE, key) != commitment(VID, ANA, BRUNO, key)


def test_keys_and_what_was_agreed_do_not_show() -> None:
    pair = Pair().compare()
    assert repr(SasKeys()) == "SasKeys(***)"
    assert repr(pair.ana._agreement) == "Agreement(***)"
