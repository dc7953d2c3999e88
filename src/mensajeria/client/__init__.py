"""The headless client: what the desktop, the command line and bots use."""
