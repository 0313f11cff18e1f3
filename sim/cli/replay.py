"""``gcsim replay``: what a recorded trace would have cost under each strategy, and how long its callers had waited."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.arguments import Arguments
from sim.cli.study import (
    AsJson,
    Baseline,
    EngineName,
    Keep,
    Out,
    Replications,
    Seed,
    Sets,
    conclude,
    examined,
    note,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    simulating,
)
from sim.errors import nearest
from sim.experiments import montecarlo
from sim.experiments.replay import REPLAY_START, USUAL, replay_scenario
from sim.strategies import STRATEGIES
from sim.traces import FORMATS

__all__ = ["replay"]


def replay(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="The recorded trace, plain or .gz.")],
    *,
    format_: Annotated[str, typer.Option("--format", help=f"auto, {', '.join(FORMATS)}.")] = "auto",
    model: Annotated[
        list[str] | None, typer.Option(metavar="M", help="A model to replay on; may be repeated. [gemini-2.5-flash]")
    ] = None,
    strategies: Annotated[str, typer.Option(metavar="A,B", help="Strategies, by commas.")] = ",".join(USUAL),
    baseline: Baseline = None,
    book: Annotated[str | None, typer.Option(metavar="BOOK", help="google, guide, or the path of a TOML file.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="T", help=f"Instant of the first arrival. [{REPLAY_START}]")
    ] = None,
    seed: Seed = None,
    replications: Replications = None,
    sets: Sets = None,
    sort: Annotated[bool, typer.Option("--sort", help="Sort rows that are out of order of time.")] = False,
    out: Out = None,
    keep_requests: Keep = False,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Simulate the service under a recorded trace, which stays as it was."""
    arguments = Arguments()
    chosen: dict[str, Any] = {
        "models": list(dict.fromkeys(model or [])) or None,
        "book": book,
        "start": start,
        "seed": read_seed(arguments, seed),
        "replications": read_replications(arguments, replications),
        "strategies": _strategies(arguments, strategies),
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if format_ not in ("auto", *FORMATS):
        arguments.refuse("--format", "unknown trace format", nearest(format_, ("auto", *FORMATS)), format_)
        format_ = "auto"
    if not Path(trace).is_file():
        what = "is a folder" if Path(trace).is_dir() else "no such file"
        arguments.refuse("TRACE", what, "a recorded trace", trace)
    overrides = sets or []
    flags = {"replications": replications, "seed": seed, "baseline": baseline, "book": book, "start": start}
    refuse_contradictions(arguments, overrides, flags | {"models": model, "strategies": strategies})
    refuse_engine(arguments, engine)
    scenario = examined(
        arguments,
        lambda: replay_scenario(trace, format=format_, sort=sort, sets=overrides, **given),
        baseline,
        out,
    )
    asked = montecarlo.asked_of(scenario, baseline=baseline, engine=engine)
    with simulating() as progress:
        result = montecarlo.carried_out(asked, keep_requests=keep_requests, progress=progress, notice=note)
        conclude(asked, result, sets=overrides, out=out, as_json=as_json)


def _strategies(arguments: Arguments, text: str) -> list[str]:
    """Return the known ones of the strategies named, each once; unknown ones are noted."""
    names = dict.fromkeys(name.strip() for name in text.split(","))
    for name in names:
        if name not in STRATEGIES:
            arguments.refuse("--strategies", "unknown strategy", nearest(name, STRATEGIES), name)
    return [name for name in names if name in STRATEGIES] or list(USUAL)
