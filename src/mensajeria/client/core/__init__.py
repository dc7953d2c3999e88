"""The client's decisions, sans-I/O: inputs in, effects out."""
