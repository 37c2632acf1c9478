"""What the screens write: plain values in, lines out. Nothing here fetches, asks or draws."""
