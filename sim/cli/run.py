"""``gcsim run``: what each strategy of a scenario costs, and how long its callers wait."""

from pathlib import Path
from typing import Annotated

import typer

from sim.cli.arguments import Arguments
from sim.cli.study import (
    AsJson,
    Baseline,
    BookName,
    EngineName,
    Keep,
    Out,
    Replications,
    Seed,
    Sets,
    conclude,
    examined,
    note,
    progress_bar,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    refuse_scenario,
)
from sim.experiments import montecarlo
from sim.scenario import load

__all__ = ["run"]


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A TOML file, or a shipped scenario's name.")],
    *,
    replications: Replications = None,
    seed: Seed = None,
    sets: Sets = None,
    baseline: Baseline = None,
    book: BookName = None,
    out: Out = Path("results"),
    keep_requests: Keep = False,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Simulate a scenario under all of its strategies, on the same luck for each."""
    arguments = Arguments()
    times, root = read_replications(arguments, replications), read_seed(arguments, seed)
    overrides = sets or []
    flags = {"replications": replications, "seed": seed, "baseline": baseline, "book": book}
    refuse_contradictions(arguments, overrides, flags)
    refuse_engine(arguments, engine)
    if refuse_scenario(arguments, scenario):
        arguments.check()
    loaded = examined(arguments, lambda: load(scenario, sets=overrides, book=book), baseline, out)
    with progress_bar() as progress:
        result = montecarlo.run(
            loaded,
            replications=times,
            seed=root,
            baseline=baseline,
            keep_requests=keep_requests,
            engine=engine,
            progress=progress,
            notice=note,
        )
        conclude(loaded, result, sets=overrides, out=out, as_json=as_json)
