"""The command line ``gcsim``: the only place that reads argv, prints, or chooses an exit code.

Exit codes: 0 ok, 1 a check failed, 2 bad input, 3 interrupted and resumable, 4 the engine.
"""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from sim.cli.advise import advise
from sim.cli.break_even import break_even
from sim.cli.capacity import capacity
from sim.cli.console import fail
from sim.cli.price import price
from sim.cli.prices import prices
from sim.cli.rate import rate
from sim.cli.replay import replay
from sim.cli.run import run
from sim.cli.sensitivity import sensitivity
from sim.cli.show import show
from sim.cli.sweep import sweep
from sim.cli.trace import trace
from sim.cli.tune import tune
from sim.cli.uncertainty import uncertainty
from sim.cli.validate import validate
from sim.errors import SimError

__all__ = ["app", "main"]

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "replay": replay,
    "sweep": sweep,
    "capacity": capacity,
    "sensitivity": sensitivity,
    "break-even": break_even,
    "advise": advise,
    "tune": tune,
    "uncertainty": uncertainty,
    "validate": validate,
    "show": show,
    "rate": rate,
    "price": price,
    "prices": prices,
    "trace": trace,
}

app = typer.Typer(
    name="gcsim",
    help="What Gemini API traffic costs, and how long its callers wait, under each strategy.",
    no_args_is_help=False,
    rich_markup_mode=None,  # else "[results]", a default, is read as a style and vanishes
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _quiet(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that leaves as the list of exit codes says, before Typer sees the reason and chooses its own."""

    @wraps(command)
    def call(**arguments: Any) -> None:
        try:
            command(**arguments)
            sys.stdout.flush()
        except SimError as error:
            fail(error)
        except BrokenPipeError:
            _mute()  # the reader left: nothing more to say
        except OSError as error:
            _mute()
            about = f"{error.filename}: " if error.filename else ""
            with suppress(OSError):  # stderr may be what is full
                print(f"gcsim: {about}{error.strerror or error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("gcsim: interrupted; nothing that was finished is lost", file=sys.stderr)
            sys.exit(3)

    return call


def _mute() -> None:
    """Let what is still to be written to stdout vanish, so that Python does not complain of it at its end."""
    with suppress(OSError):  # it may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


for _name, _command in COMMANDS.items():
    app.command(_name)(_quiet(_command))


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; no traceback reaches the user for a mistake of theirs."""
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by the caller, who wants nothing of it
                setattr(sys, name, stack.enter_context(Path(os.devnull).open("w")))
        app(args=argv, prog_name="gcsim")
