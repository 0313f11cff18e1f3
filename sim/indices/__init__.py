"""What drives an output: elementary effects, Sobol' indices and PAWN, a module each.

Every method is two pure functions. ``points`` says which points of the unit cube to run, one a row; the other one makes
indices of the (n,) outputs there. Whether a test function ran in between or the simulator, neither knows.
"""
