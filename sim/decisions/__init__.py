"""Answers that a run is bought for: what a load costs and holds, what drives the bill, may a strategy be rolled out.

Each module is one question. It asks a :class:`sim.decisions.laboratory.Source` for cells and makes a document of them.
Which cells it asks for next may hang on those before, and on nothing else, so a study that was stopped goes on where
it was.
"""
