"""Which devices are connected to which process: this one's own, and what the others have said of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mensajeria.server.broker.packet import Pairs


class Own:
    """The devices of this process. A device that is being replaced is here twice."""

    def __init__(self) -> None:
        self._count: Counter[int] = Counter()
        self._account: dict[int, int] = {}

    def add(self, device: int, account: int) -> None:
        """One more connection."""
        self._count[device] += 1
        self._account[device] = account

    def remove(self, device: int) -> bool:
        """One connection less; True when it was the device's last."""
        self._count[device] -= 1
        if self._count[device] > 0:
            return False
        del self._count[device]
        self._account.pop(device, None)
        return True

    def pairs(self) -> Pairs:
        """All of them."""
        return tuple(self._account.items())


class Roster:
    """The devices of the other processes, each known by its name."""

    def __init__(self) -> None:
        self.peers: dict[bytes, dict[int, int]] = {}
        """name -> device -> account"""
        self._by_device: dict[int, set[bytes]] = {}
        self._by_account: dict[int, Counter[bytes]] = {}

    def put(self, peer: bytes, devices: Pairs) -> None:
        """A process with all its devices, in place of what was known of it."""
        self.drop(peer)
        self.peers[peer] = {}
        for device, account in devices:
            self.add(peer, device, account)

    def add(self, peer: bytes, device: int, account: int) -> None:
        """One more device of a known process."""
        devices = self.peers[peer]
        if device not in devices:
            devices[device] = account
            self._by_device.setdefault(device, set()).add(peer)
            self._by_account.setdefault(account, Counter())[peer] += 1

    def remove(self, peer: bytes, device: int) -> None:
        """One device less."""
        account = self.peers[peer].pop(device, None)
        if account is None:
            return
        holders = self._by_device[device]
        holders.discard(peer)
        if not holders:
            del self._by_device[device]
        counts = self._by_account[account]
        counts[peer] -= 1
        if counts[peer] == 0:
            del counts[peer]
        if not counts:
            del self._by_account[account]

    def drop(self, peer: bytes) -> bool:
        """The process is gone; False when it was not known."""
        for device in list(self.peers.get(peer, ())):
            self.remove(peer, device)
        return self.peers.pop(peer, None) is not None

    def clear(self) -> None:
        """Nothing is known any more."""
        self.peers.clear()
        self._by_device.clear()
        self._by_account.clear()

    def of_device(self, device: int) -> Iterable[bytes]:
        """The processes that a device is connected to."""
        return self._by_device.get(device, ())

    def of_accounts(self, accounts: Iterable[int]) -> dict[bytes, list[int]]:
        """For each process the accounts, of these, that it has devices of."""
        found: dict[bytes, list[int]] = {}
        get = self._by_account.get
        for account in accounts:
            peers = get(account)
            if peers is not None:
                for peer in peers:
                    found.setdefault(peer, []).append(account)
        return found
