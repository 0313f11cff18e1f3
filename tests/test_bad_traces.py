"""Bad traces: what is wrong is said with its line, all at once; what is only odd is read."""

import gzip
import json
import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.traces import FORMATS, load_trace

GOOD = '{"time_s": 1, "promptTokenCount": 5}\n'
CSV = "time_s,promptTokenCount,candidatesTokenCount,id\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
MOONCAKE = '{"timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [1, 2]}\n'
TURN = '{"t": 0, "type": "n", "in": 64, "out": 1, "hash_ids": [[1, 1]]}'


def kvct(*requests: str, size: int = 64) -> str:
    return f'{{"block_size": {size}, "requests": [{", ".join(requests)}]}}\n'


def problems(tmp_path, text: str | bytes, name: str = "auto") -> list[str]:
    """Lines of the error without the file's name."""
    path = tmp_path / "t"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as caught:
        load_trace(path, name)
    return [str(problem).removeprefix(str(path)) for problem in caught.value.problems]


WRONG = {  # name: (text, how the first line of the error begins, what it says)
    "a row without a time": (
        '{"promptTokenCount": 5}\n',
        ":1: time:",
        "the time is missing.*the row has promptTokenCount",
    ),
    "a row without a prompt": (
        GOOD + '{"time_s": 2, "x": 5}',
        ":2: promptTokenCount:",
        "missing.*the row has time_s, x",
    ),
    "a table without a time": (
        "promptTokenCount,x\n1,2\n",
        ":1:",
        "no column time.*the header has promptTokenCount, x",
    ),
    "an azure table without a column": ("TIMESTAMP,ContextTokens\n", ":1:", "GeneratedTokens", "azure"),
    "a column twice": ("time_s,promptTokenCount,time_s\n", ":1: time_s:", "the column stands twice"),
    "an unknown table": ("a,b\n1,2\n", ":", "cannot be told.*has a, b; a file of mooncake, azure, kvct or log"),
    "an unknown object": ('{"a": 1}\n', ":", "cannot be told.*has a; a file of mooncake, azure, kvct or log"),
    "a number in a time column": (
        '{"time": 1763000000, "promptTokenCount": 5}',
        ":1: time:",
        "unit is not told.*time_ms",
    ),
    "a digit text in a time column": (
        '{"timestamp": "17630", "promptTokenCount": 5}',
        ":1: timestamp:",
        "unit is not told",
    ),
    "a time without a zone": ('{"time": "2026-11-20T10:00:00", "promptTokenCount": 5}', ":1: time:", "zone is missing"),
    "a text that is no time": ('{"time": "noon", "promptTokenCount": 5}', ":1: time:", "not a date.*got 'noon'"),
    "a time before 1970": ('{"time": "1969-12-31T23:59:59Z", "promptTokenCount": 5}', ":1: time:", "before 1970"),
    "a negative time": ('{"time_s": -1, "promptTokenCount": 5}', ":1: time_s:", "must be >= 0.*got -1"),
    "a time that is not finite": ('{"time_s": NaN, "promptTokenCount": 5}', ":1: time_s:", "must be finite"),
    "a nan in a table": (CSV + "nan,1,1,a\n", ":2: time_s:", "must be finite.*got 'nan'"),
    "an infinite time": ('{"time_ms": 1e400, "promptTokenCount": 5}', ":1: time_ms:", "more than can be counted"),
    "a huge exponent": ('{"time_s": 1e99999999999999999999, "promptTokenCount": 5}', ":1:", "not JSON"),
    "half a token": ('{"time_s": 1, "promptTokenCount": 12.5}', ":1: promptTokenCount:", "whole number.*got .*12.5"),
    "half a token in a table": (CSV + "1,12.5,1,a\n", ":2: promptTokenCount:", "must be a whole number.*got '12.5'"),
    "negative tokens": (CSV + "1,-3,1,a\n", ":2: promptTokenCount:", "must be >= 0.*got '-3'"),
    "2^63 tokens": (
        f'{{"time_s": 1, "promptTokenCount": {2**63}}}',
        ":1: promptTokenCount:",
        "more than can be counted",
    ),
    "a true count": ('{"time_s": 1, "promptTokenCount": true}', ":1: promptTokenCount:", "not a number"),
    "an underscore": (CSV + "1,1_000,1,a\n", ":2: promptTokenCount:", "not a number"),
    "a NUL byte": (GOOD + '{"time_s": \0', ":2:", "a NUL byte at column 12"),
    "no UTF-8": (GOOD.encode() + b'{"a": "\xff"}\n', ":2:", "not UTF-8 at byte 8"),
    "a field beyond csv's limit": (CSV + f'1,"{"9" * 131_073}",1,a\n', ":2:", "not CSV: field larger than field limit"),
    "a quote that never ends": (CSV + '1,"5,1,a\n2,5,1,b\n', ":2:", "a quote is never closed"),
    "a row too short": (CSV + "1,5,1\n2,5,1,b\n", ":2:", "3 cells and the header 4$"),
    "a row cut off": (CSV + "1,5,1,a\n2,5", ":3:", "2 cells and the header 4; the last line is cut off"),
    "an object cut off": (GOOD + '{"time_s": 2, "prom', ":2:", "the last line is cut off"),
    "an object broken inside": (GOOD + '{"time_s": 2,, "x": 1}\n' + GOOD, ":2:", "not JSON: .* at column 14"),
    "a first line cut off": ('{"timestamp": 0, "input', ":1:", "the last line is cut off"),
    "an array": (f"[{GOOD.strip()}]\n", ":1:", "one JSON object a line; got 'list'"),
    "a key twice": ('{"time_s": 1, "promptTokenCount": 5, "time_s": 2}\n', ":1:", "key 'time_s' stands twice"),
    "objects in objects for ever": (GOOD + '{"a":' * 100_000, ":2:", "nested too deeply"),
    "rows out of order": (
        GOOD + '{"time_s": 0.5, "promptTokenCount": 5}\n',
        ":2: time:",
        "earlier than the row before, 1 .*1.*--sort",
    ),
    "a clock set back": (
        AZURE + "2023-11-05 01:59:59,1,1\n2023-11-05 01:00:00,1,1\n",
        ":3: time:",
        "before, 2023-11-05 01:59:59 .*got '2023-11-05 01:00:00'",
    ),
    "an azure time": (AZURE + "yesterday,1,1\n", ":2: TIMESTAMP:", "not a date and time"),
    "an id twice": (CSV + "1,5,1,a\n2,5,1,b\n3,5,1,a\n", ":4: id:", "the id of line 2 again.*got 'a'"),
    "a total that is no sum": (
        '{"time_s": 1, "promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 9}',
        ":1: totalTokenCount:",
        r"5 \+ 2 \+ 0 \+ 0; 7",
    ),
    "more cached than prompted": (
        '{"time_s": 1, "promptTokenCount": 5, "cachedContentTokenCount": 6}',
        ":1: cachedContentTokenCount:",
        "at most 5; got 6",
    ),
    "two names that differ": (
        '{"time_s": 1, "promptTokenCount": 5, "prompt_token_count": 6}',
        ":1: prompt_token_count:",
        "differs from promptTokenCount",
    ),
    "a context beyond the prompt": (
        '{"time_s": 1, "promptTokenCount": 5, "context_id": "a", "context_tokens": 6}',
        ":1: context_tokens:",
        "longer than the prompt",
    ),
    "a context without a name": (
        '{"time_s": 1, "promptTokenCount": 5, "context_tokens": 3}',
        ":1: context_tokens:",
        "without a name",
    ),
    "a context of two lengths": (
        "time_s,promptTokenCount,context_id,context_tokens\n1,9,a,5\n2,9,a,6\n",
        ":3: context_tokens:",
        "has 5 tokens in line 2",
    ),
    "a prompt below its context": (
        "time_s,promptTokenCount,context_id,context_tokens\n1,9,a,5\n2,4,a,\n",
        ":3: context_id:",
        "shorter than its context 'a', which has 5 tokens in line 2",
    ),
    "a mooncake row without ids": (
        MOONCAKE + '{"timestamp": 1, "input_length": 1, "output_length": 1}',
        ":2: hash_ids:",
        "missing",
    ),
    "too few mooncake ids": (
        MOONCAKE.replace("600", "1600"),
        ":1: hash_ids:",
        "does not fit input_length 1600; 3 or 4.*got 2",
    ),
    "mooncake ids that are no ids": (
        MOONCAKE.replace("[1, 2]", "[1, true]"),
        ":1: hash_ids:",
        "not a list of block ids",
    ),
    "a kvct run backwards": (
        kvct(TURN.replace("[1, 1]", "[2, 1]")),
        ":1: requests[0].hash_ids:",
        "neither an id nor a run",
    ),
    "too many kvct ids": (kvct(TURN.replace("[1, 1]", "[1, 3]")), ":1: requests[0].hash_ids:", "1 or 2; got 3"),
    "an unknown kvct type": (
        kvct(TURN, TURN.replace('"n"', '"z"')),
        ":1: requests[1].type:",
        "n, s or subagent; got 'z'",
    ),
    "a kvct request without out": (kvct(TURN.replace('"out"', '"o"')), ":1: requests[0].out:", "the key is missing"),
    "a kvct request that is none": (kvct("7"), ":1: requests[0]:", "not a request"),
    "kvct requests that are no list": ('{"block_size": 64, "requests": 5}', ":1: requests:", "not a list"),
    "two kvct block sizes": (kvct(TURN) + kvct(size=32), ":2: block_size:", "the same in every line; .*got 32"),
    "a kvct block of nothing": (kvct(size=0), ":1: block_size:", "must be > 0"),
    "kvct requests out of order": (
        kvct(TURN.replace('"t": 0', '"t": 1'), TURN),
        ":1: requests:",
        "earlier than the one before",
    ),
    "a mistake inside a subagent": (
        kvct(f'{{"t": 0, "type": "subagent", "requests": [{TURN.replace("64", "-1")}]}}'),
        ":1: requests[0].requests[0].in:",
        "must be >= 0",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_said_with_its_line_its_field_and_what_is_allowed(tmp_path, name):
    """A bad trace raises one line that begins with the place, and says the rule and the value."""
    text, place, says, *importer = WRONG[name]
    first = problems(tmp_path, text, *importer)[0]
    assert first.startswith(place), first
    assert re.search(says, first), first
    assert "\n" not in first


def test_all_mistakes_are_told_at_once_up_to_twenty(tmp_path):
    """Twenty mistakes are shown in order of their lines, and the rest are counted."""
    text = GOOD + '{"time_s": -1, "promptTokenCount": 5.5}\n' * 15
    found = problems(tmp_path, text)
    assert [line.split(":")[1] for line in found] == [str(2 + i // 2) for i in range(20)] + ["12"]
    assert found[-1].endswith("and 10 mistakes more")


def test_different_mistakes_of_one_file_are_told_together(tmp_path):
    """A bad count, a repeated id and rows out of order stand in one error."""
    found = problems(tmp_path, CSV + "5,5,1,a\n4,5,1,a\n6,-5,1,c\n")
    assert [line.split(": ")[0:2] for line in found] == [[":3", "id"], [":3", "time"], [":4", "promptTokenCount"]]


def test_a_gzip_that_is_cut_off_is_said(tmp_path):
    """Half of a gzip file is a mistake, never a shorter trace."""
    packed = gzip.compress((GOOD * 50_000).encode() + bytes(range(32, 127)))
    assert "the gzip stream is cut off" in problems(tmp_path, packed[: len(packed) // 2])[-1]
    damaged = packed[:100] + bytes([packed[100] ^ 255]) + packed[101:]
    assert problems(tmp_path, damaged)[0].startswith(": the gzip stream is damaged")


@pytest.mark.parametrize("name", ["auto", *FORMATS])
def test_a_file_that_cannot_be_read_is_said(tmp_path, name):
    """A missing file and a directory are one line each, in every format."""
    for path, says in ((tmp_path / "none", "No such file"), (tmp_path, "not a regular file")):
        with pytest.raises(InputError, match=says):
            load_trace(path, name)


@pytest.mark.parametrize("name", ["auto", *FORMATS])
@pytest.mark.parametrize("text", [b"", b"\n \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_a_trace_without_requests(tmp_path, name, text):
    """Nothing is accepted in every format, with a note."""
    path = tmp_path / "t"
    path.write_bytes(text)
    recorded = load_trace(path, name)
    assert (recorded.requests, recorded.horizon, recorded.block_tokens) == (0, 0, 0)
    assert "the file holds no request" in recorded.notes


@pytest.mark.parametrize("header", [CSV, AZURE])
def test_a_header_alone_is_a_trace_without_requests(tmp_path, header):
    """A table with no row is accepted, with a note."""
    path = tmp_path / "t"
    path.write_text(header)
    assert "the file holds no request" in load_trace(path).notes


ODD = {
    "a byte order mark": "\ufeff" + CSV + "1,12,3,a\n",
    "CRLF": (CSV + "1,12,3,a\n").replace("\n", "\r\n"),
    "no last line end": CSV + "1,12,3,a",
    "blank lines": "\n" + CSV + "\n\n1,12,3,a\n\n  \n",
    "whole floats": CSV + "1.0,12.0,3.000,a\n",
    "exponents": CSV + "1,1.2e1,3E0,a\n",
    "a quoted line end": CSV + '1,12,3,"a\nb"\n',
    "objects with a byte order mark": '\ufeff{"time_s": 1, "promptTokenCount": 12, "candidatesTokenCount": 3}\r\n\r\n',
    "a whole float in an object": '{"time_s": 1, "promptTokenCount": 12.0, "candidatesTokenCount": 3}',
    "minus zero": '{"time_s": -0.0, "promptTokenCount": 12, "candidatesTokenCount": 3}',
    "a line separator in a text": json.dumps(
        {"time_s": 1, "promptTokenCount": 12, "candidatesTokenCount": 3, "id": "\u2028"}, ensure_ascii=False
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_only_odd_is_read(tmp_path, name):
    """Marks, line ends, blanks, quotes and whole floats change nothing."""
    path = tmp_path / "t"
    path.write_bytes(ODD[name].encode())
    recorded = load_trace(path)
    assert (recorded.prompt.tolist(), recorded.output.tolist()) == ([12], [3])


def test_lines_are_counted_through_a_quoted_line_end(tmp_path):
    """A mistake after a cell of two lines is at the line where its row starts."""
    found = problems(tmp_path, CSV + '1,12,3,"a\nb"\n\n2,x,3,c\n')
    assert found[0].startswith(":5: promptTokenCount:")


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    """A format that is misspelt is answered with the nearest."""
    with pytest.raises(InputError, match=r"did you mean 'mooncake'.*allowed: auto, azure, kvct, log, mooncake"):
        load_trace(tmp_path / "t", "moncake")


@given(
    st.sampled_from([GOOD, CSV + "1,5,1,a\n", AZURE + "2023-11-16 18:15:46,1,1\n", MOONCAKE, kvct(TURN)]),
    st.lists(st.tuples(st.integers(0, 80), st.sampled_from([*b'0-9,.:"[]{}\ne\0', 255])), max_size=4),
    st.sampled_from(["auto", *FORMATS]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_file_gets_past_its_reader(tmp_path, text, damage, name):
    """Bytes overwritten anywhere give a record or a list of mistakes, never another error."""
    raw = bytearray(text.encode())
    for at, byte in damage:
        raw[at % len(raw)] = byte
    path = tmp_path / "t"
    path.write_bytes(raw)
    with suppress(InputError):
        assert load_trace(path, name).requests <= 2
