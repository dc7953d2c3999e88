"""To-device envelopes, kept for each device until it acks them."""
