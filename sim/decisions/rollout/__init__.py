"""``gcsim validate`` in parts: the claim, looks that share an error, the ruling, and what would turn it."""
