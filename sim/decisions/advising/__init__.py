"""``gcsim advise`` in parts: the guide's framework as a table, the contest of strategies, common mistakes priced."""
