"""``audit``: what the differences between paired cells are made of."""
