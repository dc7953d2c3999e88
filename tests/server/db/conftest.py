"""Fixtures of this folder."""

from tests.server.fixtures import clock, database_url, http, server, settings, sqlite_file

__all__ = ["clock", "database_url", "http", "server", "settings", "sqlite_file"]
