"""``spike-screen``: a known graph planted into real cells, as the AnnData file of a screen."""
