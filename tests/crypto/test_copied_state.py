"""A thief copies the pairwise state of a device: the first answer of the device ends what the copy can read."""

from __future__ import annotations

import pytest

from mensajeria.crypto.device import DeviceKeys
from mensajeria.crypto.olm import OlmPeer
from mensajeria.crypto.todevice import EnvelopeCause, EnvelopeError, SealedEnvelope, open_inner, open_outer
from mensajeria.protocol import limits
from tests.crypto.people import NOW, Person, envelope


def opened(who: Person, device: DeviceKeys, by: Person, sealed: SealedEnvelope, peer: OlmPeer | None) -> OlmPeer:
    outer = open_outer(device, sealed.prekey_id, sealed.blob)
    return open_inner(device, outer, sender=by.list, me=who.address, peer=peer, now_ms=NOW).peer


def test_a_copy_of_the_pairwise_state_reads_until_the_ack_and_not_after_it() -> None:
    ana, bruno = Person("ana"), Person("bruno")
    first = envelope(ana, bruno)
    bruno_peer = opened(bruno, bruno.device, ana, first, None)
    back = envelope(bruno, ana, peer=bruno_peer, new_session=False)
    ana_peer, bruno_peer = opened(ana, ana.device, bruno, back, first.peer), back.peer
    stolen_device, stolen_peer = DeviceKeys.load(bruno.device.dump()), OlmPeer.load(bruno_peer.dump())

    for _ in range(limits.OLM_ACK_AFTER):  # Ana writes on; the copy reads along
        sealed = envelope(ana, bruno, peer=ana_peer, new_session=False)
        ana_peer = sealed.peer
        bruno_peer = opened(bruno, bruno.device, ana, sealed, bruno_peer)
        stolen_peer = opened(bruno, stolen_device, ana, sealed, stolen_peer)
    assert bruno_peer.owes_ack

    ack = envelope(bruno, ana, peer=bruno_peer, new_session=False, kind="ack")
    ana_peer, bruno_peer = opened(ana, ana.device, bruno, ack, ana_peer), ack.peer
    following = envelope(ana, bruno, peer=ana_peer, new_session=False)
    opened(bruno, bruno.device, ana, following, bruno_peer)
    with pytest.raises(EnvelopeError) as refused:
        opened(bruno, stolen_device, ana, following, stolen_peer)
    assert refused.value.cause is EnvelopeCause.BAD_CIPHERTEXT
