"""schemathesis loads this folder's hooks in a process of its own; pytest is not to collect them."""

collect_ignore = ["hooks.py"]
