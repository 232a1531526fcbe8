"""Programs that come with gpcp, STATE and GEARS, each for an environment of its own, and what they share."""
