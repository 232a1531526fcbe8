"""``power``: the smallest effect that such cells can show, and how many cells it would take."""
