"""The list of laws in VERIFICATION.md is whole, and the tests that it names exist."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEXT = (HERE / "VERIFICATION.md").read_text(encoding="utf-8")

NO_CASES = {6, 19, 21, 38, 43, 51, 53, 57, 58, 79, 92, 94, 98, 104}
NO_ORACLES = {7, 17, 18, 22, 24, 28, 34, 36}
NUMBERS = {
    "P": set(range(1, 93)),
    "O": set(range(1, 47)) - NO_ORACLES,
    "F": set(range(1, 27)),
    "": set(range(1, 113)) - NO_CASES,  # bad inputs
}

ROW = re.compile(r"^\| ([POF]?)(\d+)(?:-\1(\d+))? \| (.+?) \| (.*?) ?\| (.*?) ?\|$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+\.py)(?:::(\w+))?`")


def listed(kind, text=TEXT):
    """Return the numbers of a kind in the order of the rows, ranges written out."""
    rows = [match for match in ROW.finditer(text) if match[1] == kind]
    return [number for row in rows for number in range(int(row[2]), int(row[3] or row[2]) + 1)]


def defined_in(module):
    """Return the names of the tests of a module: functions, and test cases of state machines."""
    body = ast.parse((HERE / module).read_text(encoding="utf-8")).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    targets = (target for node in body if isinstance(node, ast.Assign) for target in node.targets)
    return {name for name in functions if name.startswith("test_")} | {
        target.id for target in targets if isinstance(target, ast.Name) and target.id.startswith("Test")
    }


def missing(text):
    """Return the tests that a text names and that do not exist."""
    found = {path.name: defined_in(path.name) for path in HERE.glob("test_*.py")}
    return [
        f"{module}::{name}"
        for module, name in NAMED.findall(text)
        if module not in found or (name and name not in found[module])
    ]


def test_every_test_that_is_named_exists():
    """No row names a test that was renamed or removed."""
    assert missing(TEXT) == []


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_number_is_listed_once(kind):
    """Each property, oracle, fault and bad input has one row, in order."""
    assert listed(kind) == sorted(NUMBERS[kind])


def test_every_row_has_a_test_or_a_reason():
    """A row without a test says why: it is not built, or not held yet."""
    tables = [line for line in TEXT.splitlines() if re.match(r"\| [POF]?\d", line)]
    rows = [ROW.fullmatch(line) for line in tables]
    assert all(rows), [line for line, row in zip(tables, rows, strict=True) if not row]
    for row in rows:
        tests, note = row[5], row[6]
        assert NAMED.sub("", tests).strip(", ") == "", row[0]
        assert "::" in tests or note.startswith(("not built", "not held")), row[0]


def test_every_module_is_mentioned():
    """Each test module holds a law that is listed."""
    mentioned = {module for module, _ in NAMED.findall(TEXT)}
    assert {path.name for path in HERE.glob("test_*.py")} == mentioned


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("`test_billing.py::test_bounds`", "`test_billing.py::test_bound`", ["test_billing.py::test_bound"]),
        ("`test_billing.py::test_bounds`", "`test_bill.py::test_bounds`", ["test_bill.py::test_bounds"]),
        ("`test_billing.py::test_bounds`", "`test_billing.py::usd`", ["test_billing.py::usd"]),
    ],
)
def test_a_wrong_name_is_seen(old, new, broken):
    """The checks have power: a misspelt test or module, or a helper that is no test, is found."""
    assert TEXT.count(old) == 1
    assert missing(TEXT.replace(old, new)) == broken


def test_a_row_that_is_gone_or_twice_is_seen():
    """The checks have power: without P18, and with it twice, the list is another."""
    (row,) = re.findall(r"^\| P18 .*\n", TEXT, re.MULTILINE)
    assert listed("P", TEXT.replace(row, "")) != listed("P") != listed("P", TEXT.replace(row, row + row))
