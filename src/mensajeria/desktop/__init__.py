"""The desktop application (PyQt6)."""
