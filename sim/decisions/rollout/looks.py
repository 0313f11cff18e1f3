"""When a verdict may be looked for, and what share of its error each look may spend."""

from collections.abc import Iterator

from sim.skewed import ENOUGH

__all__ = ["FIRST", "RULE", "looks", "spent"]

FIRST = ENOUGH  # replications at the first look
_PART = 0.25  # of the error that is left
RULE = (
    f"looks at {FIRST}, {2 * FIRST}, {4 * FIRST}, ... replications, each of which spends a quarter of the error that "
    "is left (preassigned portions, Slud and Wei 1982; Bonferroni's inequality in place of a joint law of the looks)"
)


def looks(ceiling: int) -> Iterator[int]:
    """Yield the replications at which a verdict is looked for: 100, 200, 400, ..., at most ``ceiling``.

    >>> list(looks(1_600))
    [100, 200, 400, 800, 1600]
    """
    replications = FIRST
    while replications <= ceiling:
        yield replications
        replications *= 2


def spent(error: float, look: int) -> float:
    """Return what look number ``look``, from 0, may spend of an error: a quarter of what those before it left.

    Who looks again and again at 95 % intervals until one pleases finds such a one more than once in twenty. Here every
    interval of every look holds at once with a chance of at least ``1 - error``, since the shares of all looks sum to
    the error, and with the intervals every verdict holds, whichever look comes to it. These are the preassigned
    portions of Slud and Wei (1982, *Two-sample repeated significance tests based on the modified Wilcoxon statistic*),
    with Bonferroni's inequality in place of their joint normal law, which bills do not have. Neither looks nor shares
    depend on the ceiling: whoever raises it after an undecided verdict goes on with the same test, and its error stays.

    Measured at 95 %, the truth a millionth beyond the limit, false passes of 1,000 validations: of a normal mean cost
    with looks up to 800 replications 10, of a lognormal(1) one 14, of a saving of lognormal(1) bills up to 200 7.

    The price, in widths of intervals: where a single look at 95 % takes 1.96 standard errors, the first of these takes
    2.50, the fifth 2.88, and the tenth 3.31.

    >>> [round(spent(0.05, look), 5) for look in range(3)]
    [0.0125, 0.00938, 0.00703]
    """
    return error * _PART * (1 - _PART) ** look
