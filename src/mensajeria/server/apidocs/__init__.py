"""The API's description for people: a page whose every part comes from this server."""
