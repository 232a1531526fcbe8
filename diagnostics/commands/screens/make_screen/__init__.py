"""``make-screen``: a Perturb-seq experiment on a known world, as an AnnData file with the truth in it."""
