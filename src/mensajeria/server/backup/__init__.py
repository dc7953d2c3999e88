"""Key backups: sealed rows that the server cannot tell apart, by backup version."""
