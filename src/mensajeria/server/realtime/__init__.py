"""The WebSocket side: connections of devices, who is here, what they are told."""
