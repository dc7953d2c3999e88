"""What the operator's commands share: settings, and the sentences of what the server found."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from mensajeria.cli.failure import CommandError
from mensajeria.cli.terminal import one_line
from mensajeria.server.findings import Finding, OperatorError, cause_of, of_system
from mensajeria.server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mensajeria.cli.console import Console
    from mensajeria.server.findings import Found
    from mensajeria.server.settings import Settings


def settings_from(**options: Any) -> Settings:
    """Settings of the environment with the options that were given. Raises SettingsError."""
    return load_settings(**options)


@contextmanager
def foreseen(console: Console) -> Iterator[None]:
    """Turn what an operator can mend into CommandError, with the sentences of what was found."""
    try:
        yield
    except OperatorError as error:
        raise _not_possible(console, *error.findings) from error
    except (SQLAlchemyError, sqlite3.Error) as error:  # their text may hold a connection's URL
        raise _not_possible(console, Finding.DATABASE_FAILED(cause=cause_of(error))) from error
    except OSError as error:
        raise _not_possible(console, of_system(error)) from error


def _not_possible(console: Console, *findings: Found) -> CommandError:
    detail = "; ".join(sentence(found, console) for found in findings)
    return CommandError("config", {"detail": detail}, findings=[as_json(found) for found in findings])


def sentence(found: Found, console: Console) -> str:
    """What the server found, in the person's language."""
    return one_line(console.tr(f"finding.{found.code}", **found.params))


def as_json(found: Found) -> dict[str, object]:
    """What the server found, for scripts."""
    return {"code": found.code, "params": dict(found.params)}
