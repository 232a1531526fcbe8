"""What a screen of such cells could show: limits of detection and the cells needed, from an unperturbed pilot."""
