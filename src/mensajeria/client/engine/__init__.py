"""The running client: joins the core's decisions, the store's transactions, the cryptography and the transport."""
