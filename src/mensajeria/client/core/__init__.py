"""The client's decisions without I/O: inputs in, effects out. Time and chance are passed in."""
