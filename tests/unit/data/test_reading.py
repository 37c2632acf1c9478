"""Reading items from files of every format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imfl_engine.data.guess import Columns
from imfl_engine.data.identity import content_hash, split_fraction
from imfl_engine.data.reading import ITEM_SCHEMA, Source, open_source

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "The first, with a comma", "label": "good", "stars": 5},
    {"id": "b", "text": 'She said "no"\nand left', "label": "bad", "stars": 1},
    {"id": "c", "text": "=1+1", "label": "good", "stars": 4},
]


def rows_of(source: Source) -> list[dict[str, Any]]:
    tables = list(source.tables())
    assert all(table.schema.equals(ITEM_SCHEMA) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    ending = path.name.removesuffix(".gz").rpartition(".")[2]
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ending == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    elif ending == "json":
        text = json.dumps(rows, indent=1)
    else:
        separator = "\t" if ending == "tsv" else ","
        lines = [separator.join(rows[0])]
        for row in rows:
            quoted = ('"' + str(value).replace('"', '""') + '"' for value in row.values())
            lines.append(separator.join(quoted))
        text = "\r\n".join(lines) + "\r\n"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "json.gz")


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_delivers_the_same_items(tmp_path: Path, ending: str) -> None:
    source = open_source(write(tmp_path / f"data.{ending}"))
    assert source.columns == Columns("text", "", "", "label", "id")
    rows = rows_of(source)
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    assert [row["key"] for row in rows] == ["a", "b", "c"]
    assert [row["gold"] for row in rows] == ["good", "bad", "good"]
    assert {row["split"] for row in rows} == {"pool"}
    stars = "5" if ending.startswith(("csv", "tsv")) else 5  # a CSV has no numbers
    assert json.loads(rows[0]["meta"]) == {"stars": stars}
    assert source.share == 1.0


@pytest.mark.parametrize("ending", FORMATS)
def test_a_source_can_be_read_again(tmp_path: Path, ending: str) -> None:
    source = open_source(write(tmp_path / f"data.{ending}"))
    assert rows_of(source) == rows_of(source)
    assert source.label_counts() == {"good": 2, "bad": 1}


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.csv", ROWS[:1]), write(tmp_path / "2.jsonl", ROWS[1:])
    assert [row["key"] for row in rows_of(open_source([first, second]))] == ["a", "b", "c"]


def test_a_text_file_is_one_item_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two\xe2\x80\xa8still two \nthree")
    texts = [row["text"] for row in rows_of(open_source(path))]
    assert texts == ["one", "  two\u2028still two ", "three"]


def test_values_are_the_same_batch_by_batch(tmp_path: Path) -> None:
    (batch,) = open_source(write(tmp_path / "data.jsonl")).batches()
    assert (batch[0].key, batch[0].text, batch[0].label) == ("a", ROWS[0]["text"], "good")
    assert batch[0].meta == {"stars": 5}


def test_a_csv_may_have_a_byte_order_mark_and_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffid;text;label\r\n1;Grüße, ja;gut\r\n".encode())
    assert rows_of(open_source(path))[0]["text"] == "Grüße, ja"


def test_a_utf16_file_is_read_by_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("text,label\r\n\u6f22\u5b57,a\r\n".encode("utf-16"))
    assert rows_of(open_source(path))[0]["text"] == "漢字"


def test_an_encoding_can_be_named(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "text\nCafé\n"),
        ("a.txt", "Café\n"),
        ("a.jsonl", '{"text":"Café"}'),
    ):
        path = tmp_path / name
        path.write_bytes(text.encode("latin-1"))
        assert rows_of(open_source(path, encoding="latin-1"))[0]["text"] == "Café"


def test_nul_and_control_characters_stay_in_the_text(tmp_path: Path) -> None:
    text = "a\x00b\x1b[2Jc\x07"
    path = tmp_path / "data.csv"
    path.write_bytes(f"text,label\n{text},x\n".encode())
    row = rows_of(open_source(path, Columns("text", label="")))[0]
    assert row["text"] == text
    assert json.loads(row["meta"]) == {"label": "x"}


def test_a_line_break_in_the_header_is_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b'\n\n"the\ntext",label\n\nhello,x\n\n')
    source = open_source(path, Columns("the\ntext"))
    assert [row["text"] for row in rows_of(source)] == ["hello"]


def test_repeated_and_blank_headers_are_made_unique(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"text,a,a,\nhello,1,2,3\n")
    source = open_source(path)
    assert source.column_names == ["text", "a", "a_2", "column_4"]
    assert json.loads(rows_of(source)[0]["meta"]) == {"a": "1", "a_2": "2", "column_4": "3"}


def test_a_tsv_without_quoting_keeps_its_quotes(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_bytes(b'text\tlabel\n"Hello\tx\nfine\ty\nsay "no"\tz\n')
    assert [row["text"] for row in rows_of(open_source(path))] == ['"Hello', "fine", 'say "no"']


def test_an_item_larger_than_a_block_is_read(tmp_path: Path) -> None:
    long = "word " * 1_000_000
    path = tmp_path / "data.csv"
    path.write_text(f"text,label\nshort,x\n{long},y\nlast,z\n")
    assert [len(row["text"]) for row in rows_of(open_source(path))] == [5, len(long), 4]
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"text": "a"}, {"text": long}, {"text": "b"}]))
    assert [len(row["text"]) for row in rows_of(open_source(path))] == [1, len(long), 1]


def test_json_may_hold_its_list_under_data(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"version": 1, "note": "[", "data": ROWS, "more": []}))
    assert [row["key"] for row in rows_of(open_source(path))] == ["a", "b", "c"]


def test_a_json_file_of_lines_is_read_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert [row["key"] for row in rows_of(open_source(path))] == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_json_values_become_texts_and_labels_of_one_spelling(tmp_path: Path, ending: str) -> None:
    values: list[dict[str, Any]] = [
        {"text": "a", "label": 1},
        {"text": "b", "label": 1.0},
        {"text": "c", "label": True},
        {"text": "d", "label": None},
        {"text": "e", "label": ["x"]},
        {"text": "f", "label": " y "},
        {"text": None, "label": ""},
        {"text": 42},
    ]
    rows = rows_of(open_source(write(tmp_path / f"data.{ending}", values)))
    assert [row["gold"] for row in rows] == ["1", "1", "true", None, "x", "y", None, None]
    assert [row["text"] for row in rows][-2:] == ["", "42"]


def test_integers_with_a_hole_in_parquet_are_labels_without_a_point(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    table = pa.table({"text": ["a", "b", "c"], "label": pa.array([0.0, None, 2.0])})
    pq.write_table(table, path)
    assert [row["gold"] for row in rows_of(open_source(path))] == ["0", None, "2"]


def test_class_numbers_of_a_hugging_face_file_become_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]})
    path = tmp_path / "data.parquet"
    pq.write_table(table.replace_schema_metadata(metadata), path)
    source = open_source(path)
    assert [row["gold"] for row in rows_of(source)] == ["yes", "no", None]
    plain = open_source(path, Columns(label=""))
    assert json.loads(rows_of(plain)[0]["meta"]) == {"label": "yes"}


def test_wide_integers_nan_and_lone_surrogates_survive_as_json_allows(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(
        '{"id": 123456789012345678901234, "text": "half \\ud83d", "x": NaN, "z": 12345678901234567890123}\n'
        '{"id": 2, "text": "whole \\ud83d\\ude00", "x": -Infinity, "z": 1e300}\n'
    )
    first, second = rows_of(open_source(path))
    assert first["key"] == "123456789012345678901234"
    assert first["text"] == "half \ufffd"
    assert json.loads(first["meta"]) == {"x": None, "z": 12345678901234567890123}
    assert second["text"] == "whole \U0001f600"
    assert json.loads(second["meta"]) == {"x": None, "z": 1e300}


def test_keys_that_appear_late_are_kept(tmp_path: Path) -> None:
    values = [{"text": "a"}, {"text": "b", "note": {"deep": [1, None]}}]
    rows = rows_of(open_source(write(tmp_path / "data.jsonl", values)))
    assert [json.loads(row["meta"]) for row in rows] == [{}, {"note": {"deep": [1, None]}}]


def test_parquet_types_that_json_lacks_become_text(tmp_path: Path) -> None:
    import datetime
    import decimal

    table = pa.table(
        {
            "text": pa.array(["a"]).dictionary_encode(),
            "when": [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)],
            "price": [decimal.Decimal("1.50")],
            "raw": [b"\x00\xff"],
            "tags": [["x", None]],
            "none": pa.nulls(1),
            "big": pa.array(["\x01"], pa.large_string()),
        }
    )
    path = tmp_path / "data.parquet"
    pq.write_table(table, path)
    assert json.loads(rows_of(open_source(path))[0]["meta"]) == {
        "when": "2026-01-02T00:00:00+00:00",
        "price": "1.50",
        "raw": "AP8=",
        "tags": ["x", None],
        "none": None,
        "big": "\x01",
    }


@pytest.mark.parametrize(
    ("options", "label", "letter"),
    [
        (["red", "green"], "B", "B"),
        (["red", "green"], "green", "B"),
        (["red", "green"], 0, "A"),
        ({"A": "red", "B": "green", "C": None}, "B", "B"),
        ({"1": "red", "2": "green"}, "2", "B"),
        ('{"A": "red", "B": "green"}', "A", "A"),
        ('["red", "green"]', "green", "B"),
        ("red | green", "green", "B"),
        ({"text": ["red", "green"], "label": ["x", "y"]}, "y", "B"),
        (["red", "green"], "blue", "blue"),
        (["red", "green"], None, None),
    ],
)
def test_options_and_their_labels_in_every_shape(
    tmp_path: Path, options: Any, label: Any, letter: str | None
) -> None:
    rows = [{"question": "Which?", "options": options, "answer": label}]
    columns = Columns(label="answer")
    (row,) = rows_of(open_source(write(tmp_path / "data.jsonl", rows), columns))
    assert row["options"] == ["red", "green"]
    assert row["gold"] == letter


def test_context_is_joined_from_a_list(tmp_path: Path) -> None:
    rows = [{"question": "Why?", "context": ["one", "two"]}, {"question": "How?", "context": ""}]
    found = rows_of(open_source(write(tmp_path / "data.jsonl", rows)))
    assert [row["context"] for row in found] == ["one\ntwo", None]


def test_without_an_id_the_key_is_a_hash_of_the_content(tmp_path: Path) -> None:
    rows = [{"text": "same"}, {"text": "same"}, {"text": "other"}]
    keys = [row["key"] for row in rows_of(open_source(write(tmp_path / "data.jsonl", rows)))]
    assert keys[0] == keys[1] == content_hash("same") != keys[2]
    assert len(keys[0]) == 16
    assert content_hash("a", "b") != content_hash("ab") != content_hash("a", None, ("b",))


def test_an_id_column_that_repeats_is_not_guessed(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "a"}, {"id": "1", "text": "b"}]
    assert open_source(write(tmp_path / "data.jsonl", rows)).columns.id == ""


def test_an_empty_id_falls_back_to_the_hash(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "a"}, {"id": None, "text": "b"}]
    source = open_source(write(tmp_path / "data.jsonl", rows), Columns(id="id"))
    assert [row["key"] for row in rows_of(source)] == ["1", content_hash("b")]


def test_the_test_fraction_depends_on_the_key_alone(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": f"text {n}", "label": "ab"[n % 2]} for n in range(2_000)]
    source = open_source(write(tmp_path / "data.jsonl", rows), test_fraction=0.2, seed=7)
    splits = {row["key"]: row["split"] for row in rows_of(source)}
    assert 330 < sum(split == "test" for split in splits.values()) < 470
    assert all((splits[key] == "test") == split_fraction(key, 0.2, 7) for key in splits)
    backwards = open_source(write(tmp_path / "back.jsonl", rows[::-1]), test_fraction=0.2, seed=7)
    assert splits == {row["key"]: row["split"] for row in rows_of(backwards)}
    assert splits != {
        row["key"]: row["split"]
        for row in rows_of(open_source(tmp_path / "data.jsonl", test_fraction=0.2, seed=8))
    }


def test_only_what_has_a_label_is_held_out(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": "ab"[n % 2] if n % 3 else None} for n in range(900)]
    found = rows_of(open_source(write(tmp_path / "data.jsonl", rows), test_fraction=0.5))
    held_out = [row["gold"] for row in found if row["split"] == "test"]
    assert len(held_out) > 200
    assert None not in held_out
    rows = [{"text": f"text {n}"} for n in range(50)]
    found = rows_of(open_source(write(tmp_path / "bare.jsonl", rows), test_fraction=0.5))
    assert {row["split"] for row in found} == {"pool"}


def test_rows_are_counted_no_further_than_asked(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "data.jsonl"))
    assert source.count(most=1_000) == len(ROWS)
    assert source.count(most=2) == 2


def test_a_preview_shows_the_rows_as_they_are(tmp_path: Path) -> None:
    assert open_source(write(tmp_path / "data.jsonl")).preview(2) == ROWS[:2]


def test_reading_can_stop_early(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + ("some words here " * 20 + ",x\n") * 30_000)
    tables = open_source(path).tables()
    assert next(tables).num_rows
    tables.close()


def test_all_of_the_hostile_sample_is_read() -> None:
    folder = Path(__file__).parents[3] / "sample_data" / "nasty"
    lines = [
        json.loads(line) for line in (folder / "nasty.jsonl").read_bytes().split(b"\n") if line
    ]
    from_json = rows_of(open_source(folder / "nasty.jsonl"))
    assert len(from_json) == len(lines)
    for line, row in zip(lines, from_json, strict=True):
        text = line.get("text")
        expected = "" if text is None else str(text).replace("\ud83d", "\ufffd")
        assert row["text"] == expected
    from_csv = rows_of(open_source(folder / "nasty.csv"))
    without_surrogate = [row["text"] for row in from_json if "\ufffd" not in row["text"]]
    assert [row["text"] for row in from_csv] == without_surrogate
