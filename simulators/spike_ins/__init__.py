"""A known graph planted into real cells: pairs and screens whose truth is known and whose everything else is real."""
