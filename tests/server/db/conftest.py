"""Fixtures of this folder."""

from tests.server.fixtures import clock, database_url, http, server, settings

__all__ = ["clock", "database_url", "http", "server", "settings"]
