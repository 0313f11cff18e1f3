"""``gcsim uncertainty`` in parts: what is not known, beside luck, and what learning it is worth."""
