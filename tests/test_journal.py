"""The journal of finished cells: torn, flipped, zeroed and doubled, and on disks that fail while it grows."""

import errno
import re
from pathlib import Path

import pytest
from faults import Counted
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import EngineError, InputError
from sim.journal import Damage, Files, Gone, Journal

RECORDS = {f"{number:032x}": f'[["none",{number},null]]' for number in range(5)}


def journal(folder: Path, records=RECORDS) -> Path:
    """Return the file of a journal with some records."""
    path = folder / "cells.journal"
    made = Journal(path, Files())
    for key, text in records.items():
        made.append({key: text})
    made.close()
    return path


def opened(path: Path) -> tuple[dict[str, str], Damage]:
    """Return the good records of a journal, and what was wrong with it."""
    found = Journal(path, Files())
    records = {key: found.text(key) for key in RECORDS if key in found}
    found.close()
    return records, found.damage


def test_a_record_torn_at_any_byte_is_cut_off(tmp_path):
    """Of the last record any part may be missing: the others stay, and the next one finds its place."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    first = dict(list(RECORDS.items())[:-1])
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert opened(path) == (first, Damage(end - last, 0))
        assert path.read_bytes() == whole[:last]
        journal(tmp_path)
        assert opened(path) == (RECORDS, Damage(0, 0))
        assert path.read_bytes() == whole


def test_a_journal_cut_at_any_byte_keeps_the_records_before(tmp_path):
    """What is left of any prefix of the file are its whole records (P87)."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        records, damage = opened(path)
        assert records == dict(list(RECORDS.items())[: whole[:end].count(b"\n")])
        assert damage == Damage(end - 1 - whole[:end].rfind(b"\n"), 0)


def test_zeros_after_a_power_loss_are_no_record(tmp_path):
    """A tail of zeros is cut off."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(500))
    assert opened(path) == (RECORDS, Damage(500, 0))
    assert path.read_bytes() == whole


@given(st.data())
def test_zeros_anywhere_cost_the_records_that_they_hit(tmp_path_factory, data):
    """A hole in the middle: the records outside of it stay, and those in it run again."""
    path = journal(tmp_path_factory.mktemp("hole"))
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    path.write_bytes(whole[:start] + bytes(end - start) + whole[end:])
    records, _ = opened(path)
    lines = [(match.start(), match.end()) for match in re.finditer(rb"[^\n]+\n", whole)]
    assert records == {
        key: text
        for (key, text), (first, last) in zip(RECORDS.items(), lines, strict=True)
        # a line whose predecessor lost its end becomes a part of that one
        if (last <= start or first >= end) and not (first == end and first > 0)
    }
    assert opened(path)[1] == Damage(0, 0)


def test_a_flipped_bit_anywhere_costs_its_own_record_only(tmp_path):
    """Every byte of a journal, one bit after the other flipped: the record is set aside, the others stay."""
    few = dict(list(RECORDS.items())[:3])
    path = journal(tmp_path, few)
    whole = path.read_bytes()
    ends = [match.end() for match in re.finditer(rb"\n", whole)]
    for place in range(len(whole)):
        hurt = sum(end <= place for end in ends)  # the record that the byte is in
        joined = whole[place] == ord("\n")  # two lines become one, or the last one loses its end
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            records, damage = opened(path)
            assert set(few) - set(records) == set(list(few)[hurt : hurt + 1 + joined])
            assert records == {key: few[key] for key in records}
            torn = joined and place == len(whole) - 1
            assert (damage.torn > 0, damage.corrupt > 0) == (torn, not torn)
            assert opened(path)[1] == Damage(0, 0)  # mended for good
            aside = list(tmp_path.glob("*.bad"))
            assert len(aside) == (not torn)
            for bad in aside:
                assert bad.read_bytes() in bytes(flipped)
                bad.unlink()


def test_two_results_of_one_cell_are_refused(tmp_path):
    """The same bytes twice are one record; other bytes mean that a cell is not determined by its key."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    assert opened(path) == (RECORDS, Damage(0, 0))
    other = tmp_path / "other"
    other.mkdir()
    key = next(iter(RECORDS))
    path.write_bytes(whole + journal(other, {key: "[]"}).read_bytes())
    with pytest.raises(InputError, match="two records of one cell differ"):
        opened(path)
    path.write_bytes(whole)
    found = Journal(path, Files())
    found.append({key: RECORDS[key]})
    assert path.read_bytes() == whole
    with pytest.raises(EngineError, match=f"cell {key} has two results"):
        found.append({key: "[]"})
    assert path.read_bytes() == whole
    found.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_what_failed_is_never_tried_again(tmp_path, operation, code):
    """After a write or a flush that failed there is no other: the pages may be gone, the end is unknown."""

    class Failing(Files):
        broken, calls = False, 0

        def act(self):
            Failing.calls += self.broken
            if self.broken:
                raise OSError(code, "the disk says no")

        def write(self, handle, data):
            if operation == "write":
                self.act()
            return super().write(handle, data)

        def fsync(self, handle):
            if operation == "fsync":
                self.act()
            super().fsync(handle)

    files = Failing()
    found = Journal(tmp_path / "cells.journal", files)
    found.append({"a": "[]"})
    files.broken = True
    with pytest.raises(OSError, match="the disk says no"):
        found.append({"b": "[]"})
    assert "b" not in found
    files.broken = False
    size = (tmp_path / "cells.journal").stat().st_size
    for key in "bcd":
        with pytest.raises(OSError, match="an earlier write failed"):
            found.append({key: "[]"})
    assert Failing.calls == 1
    assert (tmp_path / "cells.journal").stat().st_size == size
    found.close()


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_them_all(tmp_path):
    """A short write is gone on with."""

    class Slow(Counted):
        def write(self, handle, data):
            return super().write(handle, data[:7])

    files = Slow()
    found = Journal(tmp_path / "cells.journal", files)
    found.append(RECORDS)
    found.close()
    assert opened(tmp_path / "cells.journal") == (RECORDS, Damage(0, 0))
    assert files.count > 20


def test_a_journal_that_is_not_where_it_was_takes_no_more(tmp_path):
    """Moved, removed, or with another file in its place: what is written would be lost, and is refused."""
    for number, upset in enumerate((_moved, _removed, _replaced)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = Journal(folder / "cells.journal", Files())
        found.append({"a": "[]"})
        upset(folder)
        with pytest.raises(Gone, match="was moved or removed"):
            found.append({"b": "[]"})
        assert found.text("a") == "[]"
        found.close()


def _moved(folder):
    folder.rename(folder.with_name(folder.name + " elsewhere"))


def _removed(folder):
    (folder / "cells.journal").unlink()
    folder.rmdir()


def _replaced(folder):
    _moved(folder)
    folder.mkdir()
    (folder / "cells.journal").write_bytes(b"")
