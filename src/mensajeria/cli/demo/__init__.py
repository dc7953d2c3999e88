"""The demonstration: an embedded server and two people, in windows or told in the terminal."""
