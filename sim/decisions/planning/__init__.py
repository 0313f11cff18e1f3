"""``gcsim capacity`` in parts: the search for the largest load, what binds there, and growth."""
