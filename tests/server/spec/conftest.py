"""Fixtures of this folder. schemathesis loads hooks.py in a process of its own; pytest is not to collect it."""

from tests.server.fixtures import clock, database_url, http, settings

__all__ = ["clock", "collect_ignore", "database_url", "http", "settings"]
collect_ignore = ["hooks.py"]
