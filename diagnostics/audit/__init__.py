"""What the change between paired cells is made of."""
