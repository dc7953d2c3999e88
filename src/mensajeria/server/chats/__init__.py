"""Chats: who is in them, and the append-only log of each."""
