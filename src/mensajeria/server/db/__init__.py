"""Databases: engine, tables, the one SQLite writer."""
