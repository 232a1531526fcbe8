"""``check-screen``: checks of the file of a perturbation screen."""
