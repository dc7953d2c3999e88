"""Type "file": what a recipient needs to fetch one, with a picture to show until then."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mensajeria.client.api import MessageKind
from mensajeria.client.engine.kinds.arrival import Arrival
from mensajeria.client.engine.outcome import Outcome
from mensajeria.client.store import Tx
from mensajeria.client.store.files import file_body
from mensajeria.client.store.values import NewMessage
from mensajeria.protocol.encoding import encode
from mensajeria.protocol.records import MessageInner
from mensajeria.protocol.records_files import FILE, FileBody


class File:
    """A file has a place of its own. Nothing is fetched."""

    name: Final = FILE

    def parse(self, inner: MessageInner, body: bytes) -> FileBody:
        """What the message says of the file. Raises MalformedError."""
        del inner
        return file_body(body)

    def apply(self, tx: Tx, out: Outcome, arrival: Arrival, body: FileBody) -> NewMessage:
        """Show it."""
        del tx, out
        return replace(arrival.place(MessageKind.FILE, text=body.caption), file=encode(body))
