"""The desktop program: set-up, preferences, one instance per profile."""
