"""Where a request comes from, as far as rate limits need to know: a network, not a person's address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
_HOPS_MAX = 16


def client_network(peer: str, forwarded_for: str, trusted: Sequence[str]) -> str | None:
    """The network (/24 of IPv4, /56 of IPv6) of the client; None for a program on this machine.

    `forwarded_for` is the header X-Forwarded-For, "" if absent. It is believed from its right end, as long as the hop
    that added an entry is a trusted proxy: what a client wrote itself stays to the left and is never reached.
    """
    address = _parse(peer)
    hops = forwarded_for.split(",")[-_HOPS_MAX:] if forwarded_for else []
    while address is not None and hops and _is_trusted(address, trusted):
        address = _parse(hops.pop())
    if address is None:
        return "unknown"
    return None if address.is_loopback else _network(address)


def _parse(text: str) -> Address | None:
    """An address; some proxies add the port: `192.0.2.1:5000`, `[2001:db8::1]:5000`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Sequence[str]) -> bool:
    return any(address in ip_network(network, strict=False) for network in trusted)


def _network(address: Address) -> str:
    return str(ip_network((address, 24 if address.version == 4 else 56), strict=False))  # noqa: PLR2004 - IP versions
