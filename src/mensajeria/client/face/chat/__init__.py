"""What `Chat` offers, by concept: each class is one side of it and holds nothing but which chat it is."""
