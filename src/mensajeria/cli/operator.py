"""What the operator's commands share: settings, and the server's foreseeable failures as errors with a sentence."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from mensajeria.cli.failure import CommandError
from mensajeria.server.db.revision import SchemaError
from mensajeria.server.facts import StateError
from mensajeria.server.serve import ServeError
from mensajeria.server.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mensajeria.server.settings import Settings


def settings_from(**options: Any) -> Settings:
    """Settings of the environment with the options that were given. Raises SettingsError."""
    return load_settings(**options)


@contextmanager
def foreseen() -> Iterator[None]:
    """Turn what an operator can mend into CommandError. The server words these sentences itself, in English."""
    try:
        yield
    except (SettingsError, ServeError, SchemaError, StateError) as error:
        raise CommandError("config", {"detail": str(error)}) from error
    except (SQLAlchemyError, OSError) as error:
        # The text of these may hold a connection's URL: only the kind is told.
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise CommandError("config", {"detail": detail}) from error
