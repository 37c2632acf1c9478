"""The fast and the careful reader of delimited files see the same rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imfl_engine.data.delimited import DelimitedReader
from imfl_engine.errors import DataError

CELLS = st.text(st.sampled_from('ab",;\t\r\n \x00é漢|'), max_size=6)
RUNS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path: Path) -> list[tuple[str, ...]]:
    reader = DelimitedReader(path, tabs=False)
    try:
        return [
            row
            for chunk in reader.chunks()
            for row in zip(*(chunk.texts(name) for name in reader.names), strict=True)
        ]
    finally:
        reader.close()


@RUNS
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str, str]], line_end: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(("one", "two", "three"))
    writer.writerows(rows)
    path = tmp_path / "data.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    assert read(path) == rows


@RUNS
@given(body=st.text(st.sampled_from('ab",\r\n'), max_size=20))
def test_any_bytes_give_rows_that_the_careful_reader_agrees_with_or_an_error(
    tmp_path: Path, body: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_text("one,two\n" + body, encoding="utf-8", newline="")
    loose = [tuple(row) for row in csv.reader(io.StringIO(body, newline="")) if row]
    try:
        rows = read(path)
    except DataError:
        try:  # whatever is refused, a strict reader refuses too, or it is ragged
            strict = list(csv.reader(io.StringIO(body, newline=""), strict=True))
        except csv.Error:
            return
        assert any(row and len(row) != 2 for row in strict)
    else:
        assert rows == loose
