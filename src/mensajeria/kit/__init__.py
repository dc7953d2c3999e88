"""Tools that know no messaging: clock, ids, secrets, tasks, Merkle tree."""
