"""Server addresses as people type them, made into one canonical form."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mensajeria.client.errors import InputError

_SCHEMES: Final = ("https", "http")
_MAX_ADDRESS: Final = 300
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server answers. `secure` = over TLS."""

    secure: bool
    authority: str
    """Host, and port unless it is the scheme's own; IPv6 in brackets."""
    path: str = ""
    """Prefix of every path when the server does not stand at the root; no slash at its end."""

    @property
    def url(self) -> str:
        """Base of the REST calls, without a slash at the end."""
        return f"http{'s' if self.secure else ''}://{self.authority}{self.path}"

    def websocket(self, path: str) -> str:
        """The URL of a WebSocket endpoint such as "/ws"."""
        return f"ws{'s' if self.secure else ''}://{self.authority}{self.path}{path}"


def parse_address(text: str, *, insecure_http: bool = False) -> ServerAddress:
    """Read "chat.example.org", "localhost:8000" or a full URL. Without a scheme it is https, and http on loopback.

    Raises:
        InputError: bad_address, or insecure_address for http:// to anything but loopback without `insecure_http`.
    """
    text = text.strip()
    if not text or len(text) > _MAX_ADDRESS or any(ch.isspace() or not ch.isprintable() for ch in text):
        raise InputError("bad_address")
    given_scheme = "://" in text
    try:
        parts = urlsplit(text if given_scheme else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError("bad_address") from error
    if not host or parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise InputError("bad_address")
    loopback = _is_loopback(host)
    scheme = parts.scheme if given_scheme else ("http" if loopback else "https")
    if scheme not in _SCHEMES:
        raise InputError("bad_address")
    if scheme == "http" and not (loopback or insecure_http):
        raise InputError("insecure_address")
    return ServerAddress(scheme == "https", _authority(host, port, scheme), parts.path.rstrip("/"))


def _authority(host: str, port: int | None, scheme: str) -> str:
    try:
        name = f"[{ipaddress.IPv6Address(host)}]" if ":" in host else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError) as error:
        raise InputError("bad_address") from error
    if ":" not in host and not _NAME.fullmatch(name):
        raise InputError("bad_address")
    own = 443 if scheme == "https" else 80
    return name if port in (None, own) else f"{name}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
