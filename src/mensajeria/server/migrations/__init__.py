"""The database's history: one revision after the other, applied by db.migrate."""
