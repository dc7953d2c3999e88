"""What `Client` offers, by concept: each class is one side of it and holds nothing but the running parts.

What `Chat` offers is in `mensajeria.client.face.chat`.
"""
