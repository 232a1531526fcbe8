"""What is judged: models and subjects by name, and anyone's loader, module, loss and step as they are."""
