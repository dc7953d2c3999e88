"""Messaging servers side by side on the same works: ours, the bare limit of its stack, and others."""

from __future__ import annotations

from typing import Final

from benchmarks.lib.peer import Peer
from benchmarks.peers.bare import Bare, BareNone, BareSqlite
from benchmarks.peers.ejabberd import Ejabberd
from benchmarks.peers.mosquitto import Mosquitto
from benchmarks.peers.ours import Ours, OursSilent, OursSqlite, OursTwo
from benchmarks.peers.prosody import Prosody
from benchmarks.peers.synapse import Synapse

PEERS: Final[dict[str, type[Peer]]] = {
    peer.name: peer
    for peer in (
        Ours,
        OursSqlite,
        OursTwo,
        OursSilent,
        Bare,
        BareSqlite,
        BareNone,
        Ejabberd,
        Prosody,
        Synapse,
        Mosquitto,
    )
}
USUAL: Final = ("ours", "bare", "ours-sqlite", "bare-sqlite", "ejabberd", "prosody", "synapse", "mosquitto")
"""What is measured when nobody says otherwise."""
