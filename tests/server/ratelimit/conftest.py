"""Fixtures of this folder."""

from tests.server.fixtures import app_server, clock, database_url, http, settings

__all__ = ["app_server", "clock", "database_url", "http", "settings"]
