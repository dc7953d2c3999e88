"""Accounts: registration, login, tokens, invites."""
