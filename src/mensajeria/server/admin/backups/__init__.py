"""A backup of the whole server: made beside a running one, checked, and put into an empty place."""
