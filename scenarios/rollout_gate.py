"""May the candidate be rolled out? Put your own scenario, strategies and limits in; the exit code is the verdict.

    python rollout_gate.py

0 where everything that is required is kept, 1 where something is broken or cannot be decided.
"""

import sys

import sim

SCENARIO = sim.load("guide-3-shared-knowledge-base-google")
CANDIDATE, BASELINE = "hybrid", "none"
REQUIRED = ["saving >= 60%", "failed <= 1%", "p50 latency <= 24h"]


def main() -> int:
    """Print the verdict, the evidence, and which contested rule of billing would turn it."""
    found = sim.validate(SCENARIO, candidate=CANDIDATE, baseline=BASELINE, require=REQUIRED).summary
    print(f"{found['verdict']}: {CANDIDATE} against {BASELINE}, {found['replications']} replications")
    for one in found["requirements"]:
        bounds = f"in {one['lo']} to {one['hi']} {one['unit']}"
        print(f"  {one['outcome']}: {one['require']}: {one['estimate']} {bounds}, {one['warning'] or 'no warning'}")
    for flip in found["robustness"]["switches"]["flips"]:
        print(f"  {flip['outcome']} instead under {flip['switches']}")
    for warning in found["warnings"]:
        print(f"  warning: {warning}")
    return 0 if found["verdict"] == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
