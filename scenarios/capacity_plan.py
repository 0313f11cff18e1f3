"""Tell how far the help desk comes on each usage tier, if its load grows by a fifth a month.

    python scenarios/capacity_plan.py

Copy it, name your own scenario, and say what you require of it.
"""

import sim

REQUIRED = ["p95 of desk <= 30s", "within_patience >= 95%"]


def main() -> None:
    """Print the largest load of each tier and what binds there, then the tier that each month takes."""
    plan = sim.capacity(
        "quickstart",
        require=REQUIRED,
        strategies=["explicit"],
        tiers=[1, 2],
        growth="1.2/month",
        lasting="12months",
    ).summary
    for one in plan["capacities"]:
        binds = one["binds"]["by"] if one["binds"] else "nothing yet"
        print(f"tier {one['tier']}: {one['capacity'] or 0:.2f} times today's load; then {binds} binds")
    for month in plan["growth"]["paths"][0]["path"]:
        cost = month["cost_usd_a_month"]
        text = f"tier {month['tier']}, ${cost['lo']:,.0f} to ${cost['hi']:,.0f}" if cost else "no tier carries it"
        print(f"month {month['month']:2}: {month['load']:5.2f} times, {text}")


if __name__ == "__main__":  # its workers are processes that read this file too
    main()
