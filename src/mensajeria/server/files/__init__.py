"""Files: ciphertext in a folder or an S3-compatible store; who may what, and how much, in the database."""
