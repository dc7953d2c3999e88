"""What the windows show and what a person can ask for: QtCore only, no window and no client in here."""
