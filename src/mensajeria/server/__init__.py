"""The server: stores and forwards what it cannot read."""
