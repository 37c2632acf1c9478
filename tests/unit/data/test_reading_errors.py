"""What is said about a file that cannot be read: one sentence, one hint, the right exit code."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.errors import DataError, ImflError, StorageError, UsageError


def failure(path: Path | str, columns: Columns | None = None, **options: str) -> ImflError:
    """What reading all of ``path`` raises."""
    with pytest.raises(ImflError) as caught:
        for _ in open_source(path, columns, **options).tables():  # type: ignore[arg-type]
            pass
    error = caught.value
    assert error.message.endswith(".")
    assert error.hint.endswith((".", "`."))
    assert "\n" not in error.message
    return error


def file(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.csv", b"\n\r\n", "only blank lines"),
        ("a.csv", b"text,label\n", "columns but no rows"),
        ("a.csv", b"text,label\n\n\n", "columns but no rows"),
        ("a.jsonl", b"\n \n", "no items"),
        ("a.json", b"[]", "no items"),
        ("a.json", b'{"data": []}', "no items"),
        ("a.txt", b"\n\n", "no items|no rows"),
        ("a.csv", b"text,label\na,b\n\nc,d,e\n", "line 4.*3 fields.*header has 2"),
        ("a.csv", b"text,label\na,b\nc\n", "line 3.*1 field and the header has 2"),
        ("a.csv", b'text,label\na,"b\nc,d\n', "open at the end"),
        ("a.csv", b'text,label\n"x\ny",b\nc\n', "line 4"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": }\n', "line 3, column 10, is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "line 2, holds a list where an object belongs"),
        ("a.jsonl", b'{"text": "a"}\nnull\n', "line 2, holds null"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"', "line 2.*is not JSON"),
        ("a.json", b'[{"text": "a"},\n{"text": "b"', "line 2.*is not JSON"),
        ("a.json", b'[{"text": "a"},\n7]', "entry 2, is a number"),
        ("a.json", b'[{"text": "a"}\n{"text": "b"}]', "line 2.*',' belongs"),
        ("a.json", b'{"rows": [{"text": "a"}]}', "without a list called 'data'"),
        ("a.json", b'"text"', "does not hold an array"),
        ("a.json", b"[{'text': 1}]", "line 1, is not JSON"),
        ("a.parquet", b"text,label\n", "not a readable Parquet file"),
        ("a.csv", b"PK\x03\x04rest", "an Office document"),
        ("a.csv", b"PAR1rest", "a Parquet file"),
        ("a.csv.gz", b"text\nhello\n", "not a whole gzip file"),
        (
            "a.csv.gz",
            gzip.compress(b"text\n" + bytes(range(65, 91)) * 999)[:-9],
            "not a whole gzip",
        ),
        ("a.jsonl", b'{"text": "a"}\n' + b'{"a":' * 100_000, "line 2.*nested too deeply"),
        ("a.jsonl", b'{"text": "half\n', "not JSON: a text begins here and has no closing quot"),
        ("a.json", b'[{"text": "half', "not JSON: a text begins here and has no closing quot"),
        ("a.jsonl", b'{"text": "a\tb"}\n', "control character, as a tab, that is not escaped."),
        ("a.jsonl", b'{"text": "a\\q"}\n', "a backslash has none of the characters behind it"),
    ],
)
def test_broken_content_is_a_data_error(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    error = failure(file(tmp_path, name, content))
    assert isinstance(error, DataError)
    assert error.exit_code == 1
    assert name in error.message
    import re

    assert re.search(said, error.message), error.message


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl", "a.json", "a.csv.gz"])
def test_a_wrong_byte_is_found(tmp_path: Path, name: str) -> None:
    good = {"a.jsonl": b'{"text": "fine"}\n', "a.json": b'[{"text": "fine"},\n'}
    start = good.get(name, b"text\n")
    bad = {"a.jsonl": b'{"text": "Caf\xe9"}\n', "a.json": b'{"text": "Caf\xe9"}]'}
    content = start + bad.get(name, b"Caf\xe9\nmore\n")
    error = failure(
        file(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    )
    assert isinstance(error, DataError)
    place = content.index(b"\xe9") + 1
    assert f"byte {place} 0xe9 in line 2" in error.message
    assert "--encoding" in error.hint


def test_a_wrong_byte_far_into_a_file_is_found(tmp_path: Path) -> None:
    content = b"text,label\n" + ("größer " * 90 + ",x\n").encode() * 8_000 + b"Caf\xe9,y\n"
    error = failure(file(tmp_path, "a.csv", content))
    assert f"byte {len(content) - 3} 0xe9 in line 8002" in error.message


def test_a_ragged_row_far_into_a_file_is_found(tmp_path: Path) -> None:
    rows = (b"more " * 99 + b",x\n") * 12_000
    content = b'text,label\n"two\nlines",x\n' + rows + b"one,two,three\n"
    assert "line 12004," in failure(file(tmp_path, "a.csv", content)).message


def test_what_was_typed_wrong_is_a_usage_error(tmp_path: Path) -> None:
    good = file(tmp_path, "a.csv", b"text,label\nhello,x\n")
    for error, said in (
        (failure(tmp_path / "none.csv"), "There is no file"),
        (failure(tmp_path), "is a directory"),
        (failure(file(tmp_path, "a.docx", b"x")), "ending that is not known"),
        (failure(file(tmp_path, "noending", b"x")), "ending that is not known"),
        (failure(good, encoding="utf-9"), "no encoding called 'utf-9'"),
        (failure(good, Columns(text="txt")), "no column 'txt' (--text)"),
        (failure(good, Columns(label="Labels")), "no column 'Labels' (--label)"),
        (failure("hf:"), "names no data set"),
    ):
        assert isinstance(error, UsageError)
        assert error.exit_code == 2
        assert said in error.message


def test_a_misspelt_column_is_corrected(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", b"Text,label\nhello,x\n")
    assert "Did you mean 'Text'?" in failure(path, Columns(text="text_")).hint
    assert "Text, label" in failure(path, Columns(text="zzz")).hint


def test_equally_likely_text_columns_are_listed(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", b"one,two,n\nsome words here,other words here,1\n")
    error = failure(path)
    assert isinstance(error, UsageError)
    assert "more than one column that could be the text: " in error.message
    assert "one, two, n" in error.hint


def test_a_source_without_text_lists_its_columns(tmp_path: Path) -> None:
    error = failure(file(tmp_path, "a.csv", b"n,m\n1,2\n"))
    assert isinstance(error, UsageError)
    assert "the columns are n, m" in error.hint


def test_a_later_file_without_the_column_is_named_before_anything_is_read(tmp_path: Path) -> None:
    first = file(tmp_path, "a.csv", b"text,label\nhello,x\n")
    second = file(tmp_path, "b.csv", b"body,label\nhello,x\n")
    with pytest.raises(UsageError, match=r"b\.csv' has no column 'text'"):
        open_source([first, second])


def test_no_file_at_all() -> None:
    with pytest.raises(UsageError, match="No data was given"):
        open_source([])


def test_a_directory_suggests_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file(tmp_path / "data", "train.parquet", b"x")
    assert "train.parquet" in failure(tmp_path).hint


def test_the_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    error = failure("hf:owner/name")
    assert isinstance(error, UsageError)
    assert "pip install 'imfl-tui[hf]'" in error.hint


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, "a.csv", b"text\nhello\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root, who may run these, can read everything
    assert isinstance(failure(path), StorageError)
