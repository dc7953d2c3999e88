"""From what was committed to whoever is connected, wherever that is."""
