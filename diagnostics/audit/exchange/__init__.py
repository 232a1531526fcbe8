"""Programs of any language and environment as predictors: what they are handed, and what they hand back."""
