"""``learning-curve``: whether more data, a bigger model or longer training would help."""
