"""Joins the client (asyncio, its own thread) and the view models (Qt's thread)."""
