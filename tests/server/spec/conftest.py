"""Fixtures of this folder. schemathesis loads hooks.py in a process of its own; pytest is not to collect it."""

from tests.server.fixtures import clock, database_url, http, settings, sqlite_file

__all__ = ["clock", "collect_ignore", "database_url", "http", "settings", "sqlite_file"]
collect_ignore = ["hooks.py"]
