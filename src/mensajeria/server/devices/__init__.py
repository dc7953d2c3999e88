"""Devices: signed lists, own devices."""
