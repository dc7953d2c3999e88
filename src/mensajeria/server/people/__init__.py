"""What people do about other people: blocks and reports."""
