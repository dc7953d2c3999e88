"""The client's I/O towards a server: addresses, TLS, the REST calls and the two WebSocket endpoints."""
