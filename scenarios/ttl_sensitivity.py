"""How long should explicit caches live, and what is that worth? Copy this file and put your own scenario in.

    python ttl_sensitivity.py

First what drives the cost of an explicit cache, then where it begins to cost less than the service's own.
"""

import sim

TTL = "strategies.explicit.ttl=5m..4h:log"
RATE = "streams.desk.arrivals.rate=30/h..480/h:log"
STORAGE = 'prices."gemini-2.5-flash".storage=0.25..4:log'


def drivers() -> None:
    """Print which part of the variance of the cost goes back to each input, alone and with others."""
    study = sim.sensitivity("quickstart", vary=[TTL, RATE, STORAGE], outputs=["cost"], strategies=["explicit"], rows=16)
    for one in study.summary["sobol"]["outputs"][0]["inputs"]:
        first, total = ("{mean:.0%} [{lo:.0%}, {hi:.0%}]".format(**one[part]) for part in ("first", "total"))
        print(f"{one['path']}: {first} alone, {total} in all")


def regions() -> None:
    """Print where an explicit cache begins to cost less than the service's own."""
    study = sim.break_even(
        "quickstart", [RATE, TTL], strategies=["implicit", "explicit"], refine=0, grid=5, replications=4
    )
    found = study.summary["maps"][0]
    print(", ".join(f"{part['strategy']} {part['share']:.0%}" for part in found["shares"]))
    for line in found["boundaries"]:
        for point in line["points"]:
            print(f"{' = '.join(map(str, line['between']))} at a rate of {point['x']} and a TTL of {point['y']}")


if __name__ == "__main__":  # workers import this file
    drivers()
    regions()
