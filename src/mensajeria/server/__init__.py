"""The server: stores and forwards what it cannot read."""

from mensajeria.server import lean as lean  # first of all: it says what is not loaded
