"""What Prometheus reads: numbers of one process, on a listener of their own."""
