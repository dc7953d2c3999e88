"""ASGI middleware: request id and log, body limit, security headers."""
