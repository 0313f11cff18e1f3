"""``gcsim sensitivity`` and ``gcsim break-even`` in parts: what drives an output, where the best changes."""
