"""How two cells become a pair."""
