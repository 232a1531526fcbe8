"""What the field's tools do with the file of a screen, and the form that each wants."""
