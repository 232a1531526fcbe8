"""What commands share: options, text, figures, progress."""
