"""The end-to-end cryptography, composed from proven libraries; synchronous, without I/O."""
