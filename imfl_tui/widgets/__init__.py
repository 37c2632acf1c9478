"""What the screens are made of: pure functions from values to lines, and thin canvases for them."""
