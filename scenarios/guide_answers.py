"""Ask the simulator about the guide's three scenarios: what to take, how much it holds, what drives it, where it turns.

    python scenarios/guide_answers.py [FOLDER]

At published prices, with chance in the traffic and in the service. What they hold is asked of their versions without
chance: only limits keep a batch waiting there. FOLDER gets the documents, as JSON, and the cells that they rest on;
`gcsim show` prints each of them in full.
"""

import sys

import sim

SCENARIOS = {  # and the two inputs over which the choice is mapped
    "guide-1-document-analysis": [
        "streams.questions.arrivals.rate=1/h..40/h:log",
        "strategies.explicit.ttl=10m..4h:log",
    ],
    "guide-2-nightly-records": ["streams.records.patience=10m..48h:log", "patience_target=0.5..0.99:lin"],
    "guide-3-shared-knowledge-base": [
        "contexts.knowledge_base.tokens=2k..200k:log",
        "streams.queries.arrivals.rate=2/h..500/h:log",
    ],
}


def main(out: str | None) -> None:
    """Print four answers for each scenario."""
    for name, axes in SCENARIOS.items():
        scenario = sim.load(f"{name}-stochastic", book="google")
        advice = sim.advise(scenario, out=out).summary
        taken, guide = advice["answer"], advice["guide"]
        print(f"\n{name}: take {taken['strategy']}{'' if taken['decided'] else ' (undecided)'}, {usd(taken)} a run;")
        print(f"  the guide's {guide['strategy']}, {usd(guide)}: {'; '.join(one['text'] for one in guide['reasons'])}")
        both = list(dict.fromkeys([taken["strategy"], guide["strategy"]]))
        ways = {"require": ["within_patience >= 95%"], "strategies": both, "tiers": [1, 2, 3]}
        for one in sim.capacity(f"{name}-google", **ways, out=out).summary["capacities"]:
            binds = one["binds"]["by"] if one["binds"] else "nothing yet"
            print(f"  tier {one['tier']}, {one['strategy']}: up to {one['capacity'] or 0:.3g} x; what binds: {binds}")
        found = sim.sensitivity(scenario, method="morris", strategies=both, out=out).summary
        for one in found["drivers"]:
            print(f"  {one['measure']} of {one['strategy']} hangs on {', '.join(one['inputs']) or 'none of them'}")
        sim.show(sim.break_even(scenario, axes, out=out).summary, assumptions=False)


def usd(found: dict) -> str:
    """Return a mean cost with its interval."""
    return "${mean:.4g} (${lo:.4g} to ${hi:.4g})".format(**found["cost_usd"])


if __name__ == "__main__":  # workers are processes that read this file too
    main(*sys.argv[1:2] or [None])
