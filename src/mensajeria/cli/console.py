"""How a command speaks: sentences or JSON lines on standard output, errors on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from mensajeria.cli.failure import UsageError
from mensajeria.cli.terminal import Ink, one_line

if TYPE_CHECKING:
    from mensajeria.cli.failure import CommandError
    from mensajeria.client.i18n import Translator


class Console:
    """Standard output and error in the person's language.

    JSON is plain ASCII, one object a line, flushed at once: it survives any locale and any pipe.
    """

    def __init__(self, translator: Translator, *, as_json: bool = False) -> None:
        self.translator = translator
        self.as_json = as_json
        self.ink = Ink(sys.stdout)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a message may hold what the locale's encoding cannot: show an escape
                stream.reconfigure(errors="backslashreplace")

    def tr(self, key: str, **params: object) -> str:
        """The sentence ``cli.<key>``."""
        return self.translator.tr(f"cli.{key}", **params)

    def say(self, key: str, **params: object) -> None:
        """Print the sentence ``cli.<key>``."""
        self.line(self.tr(key, **{name: one_line(str(value)) for name, value in params.items()}))

    def line(self, text: str = "") -> None:
        """Print a line that is already harmless."""
        print(text, flush=True)

    def record(self, **fields: object) -> None:
        """Print one JSON object."""
        print(json.dumps(fields, ensure_ascii=True, separators=(",", ":")), flush=True)

    def warn(self, text: str) -> None:
        """Print a line on standard error."""
        print(one_line(text), file=sys.stderr, flush=True)

    def fail(self, error: CommandError) -> None:
        """Print an error: one line for people, or one JSON object."""
        sentence = one_line(self._sentence(error))
        if self.as_json:
            fields: dict[str, object] = {"type": "error", "code": error.code, "message": sentence}
            fields |= {"exit": int(error.status)}
            if error.findings:
                fields |= {"findings": error.findings}
            print(json.dumps(fields, ensure_ascii=True), file=sys.stderr, flush=True)
        else:
            print(f"mensajeria: {sentence}", file=sys.stderr, flush=True)

    def _sentence(self, error: CommandError) -> str:
        if isinstance(error, UsageError):
            told = {
                name: self.translator.reason(v) if isinstance(v, OSError) else v for name, v in error.params.items()
            }
            return self.translator.tr(error.key, **told)
        return self.translator.error(error.code, error.params)
