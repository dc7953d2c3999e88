"""The key log: leaves written in the transaction of the key change."""
