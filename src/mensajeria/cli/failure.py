"""The one exception by which a command ends early with a sentence for people and an exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mensajeria.cli.exit_codes import Exit, exit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class CommandError(Exception):
    """A foreseeable failure of a command.

    Attributes:
        code: keys the sentence ``error.<code>`` of the catalogue.
        params: fill the sentence's placeholders; never secret.
        status: the exit status, by default the code's.
        findings: what the server found, for scripts; the sentence tells it, too.
    """

    def __init__(
        self,
        code: str,
        params: Mapping[str, object] | None = None,
        *,
        status: Exit | None = None,
        findings: Sequence[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.params = dict(params or {})
        self.status = exit_of(code) if status is None else status
        self.findings = findings


class UsageError(CommandError):
    """The arguments do not make sense together; ``key`` is a sentence of the catalogue under ``cli.usage``.

    A parameter that is an OSError is told in words (``Translator.reason``).
    """

    def __init__(self, key: str, **params: object) -> None:
        super().__init__(f"usage_{key}", params, status=Exit.USAGE)
        self.key = f"cli.usage.{key}"
