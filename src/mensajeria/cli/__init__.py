"""The command mensajeria."""
