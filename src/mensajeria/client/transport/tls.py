"""TLS towards the server: the system's trust store, and a private authority's file beside it if one is given."""

from __future__ import annotations

import ssl
from pathlib import Path

from mensajeria.client.errors import InputError


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A context that verifies the server's certificate and name, TLS 1.2 or newer. Reads files: not for the event loop.

    Raises:
        InputError: bad_ca_file, when the file holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError("bad_ca_file", str(ca_file)) from error
    return context
