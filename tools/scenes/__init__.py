"""What the pictures show (`tools/screenshots.py`)."""
