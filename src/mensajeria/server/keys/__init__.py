"""Prekeys: upload and claim."""
