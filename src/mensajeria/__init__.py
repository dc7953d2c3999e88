"""Self-hosted, end-to-end encrypted messenger: server, desktop client and typed Python library."""
