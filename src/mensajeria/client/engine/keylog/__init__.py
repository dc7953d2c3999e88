"""The key log as this client sees it: mirrored, checked against what it knows, and against what others were shown.

`KeyLog` is the whole; each of its parts is a module. It detects and tells; except for a name that the log maps to
somebody else, it never stops anything.
"""
