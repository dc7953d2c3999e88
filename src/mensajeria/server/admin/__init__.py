"""What the operator's commands do; the command line prints it."""
