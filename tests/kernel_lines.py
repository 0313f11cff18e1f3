"""A pytest plugin for kernels that run uncompiled: writes down which of their lines were never executed.

``NUMBA_DISABLE_JIT=1 KERNEL_LINES=missed.json pytest -p kernel_lines ...`` writes {file name: {line: its text}}.
"""

import ast
import json
import os
import sys
from pathlib import Path
from types import CodeType

from sim.engines.fast import engine, stream

FOLDER = Path(__file__).parent.parent / "sim" / "engines" / "fast"
waiting: dict[CodeType, set[int]] = {}  # lines of functions that were called and are not yet executed


def kernels(source):
    """Of each kernel of a module, by its first line, the first lines of all of its statements."""
    found = {}
    for function in ast.walk(ast.parse(source)):
        decorators = getattr(function, "decorator_list", [])
        if any(isinstance(name, ast.Name) and name.id in ("kernel", "loop") for name in decorators):
            inner = [node for part in function.body for node in ast.walk(part) if isinstance(node, ast.stmt)]
            found[function.decorator_list[0].lineno] = {node.lineno for node in inner if not is_text(node)}
    return found


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def trace(frame, _event, _argument):
    """Follow the functions of the kernels' files until all of their lines have been executed, and no others."""
    code = frame.f_code
    if not code.co_filename.startswith(str(FOLDER)):
        return None
    if code not in waiting:
        waiting[code] = {line for _, _, line in code.co_lines() if line is not None}
    return follow if waiting[code] else None


def follow(frame, event, _argument):
    if event == "line":
        waiting[frame.f_code].discard(frame.f_lineno)
    return follow


def missed():
    """Of each file with kernels, the lines that were not executed."""
    found, seen = {}, {(code.co_filename, code.co_firstlineno): lines for code, lines in waiting.items()}
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text()
        for first, lines in kernels(source).items():
            left = lines & seen.get((str(path), first), lines)
            found.setdefault(path.name, {}).update({line: source.splitlines()[line - 1].strip() for line in left})
    return found


def traced(run):
    """An entry into the kernels, followed while it goes on and no longer: following everything takes far longer."""

    def followed(*case, **more):
        sys.settrace(trace)
        try:
            return run(*case, **more)
        finally:
            sys.settrace(None)

    return followed


def pytest_configure():
    engine.run = traced(engine.run)
    stream.Stream.feed, stream.Stream.finish = traced(stream.Stream.feed), traced(stream.Stream.finish)


def pytest_unconfigure():
    Path(os.environ["KERNEL_LINES"]).write_text(json.dumps(missed()))
