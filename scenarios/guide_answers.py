"""Ask the simulator about the guide's three scenarios: what to take, how much it holds, what drives it, where it turns.

    python scenarios/guide_answers.py [FOLDER]

At published prices, with chance in the traffic and in the service. FOLDER gets the documents, as JSON, and the cells
that they rest on; `gcsim show` prints each document in full.
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
        answers = [
            sim.advise(scenario, out=out),
            sim.capacity(scenario, require=["within_patience >= 95%"], tiers=[1, 2, 3], out=out),
            sim.sensitivity(scenario, method="morris", out=out),
            sim.break_even(scenario, axes, out=out),
        ]
        for answer in answers:
            sim.show(answer.summary, assumptions=False)


if __name__ == "__main__":  # workers are processes that read this file too
    main(*sys.argv[1:2] or [None])
