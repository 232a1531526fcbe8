"""What an architecture can represent, before it is trained."""
