"""A million rows in and out: seconds and peak memory, beside pandas doing the obvious thing.

    python tests/benchmarks/data_million_rows.py [--rows 1000000] [--folder /somewhere/with/2GB]

Every measurement runs in a process of its own, twice: with a tenth of the rows and with all of
them, so that memory that grows with the file shows. Prints one JSON object a line. Reading is
`Source.tables` consumed and dropped; pandas reads the whole file into a frame, and so has not yet
made keys, hashes or the JSON of the other columns. Writing is the full export schema of 29
columns; pandas is given the finished frame.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BATCH = 20_000
LABELS = ("negative", "neutral", "positive")
READS = ("csv", "jsonl", "json", "parquet", "txt")
WRITES = ("parquet", "jsonl", "csv", "dataset")
OTHER_TOOLS = {
    "prodigy": ".jsonl",
    "labelstudio": ".json",
    "argilla": ".parquet",
    "doccano": ".jsonl",
}


def make_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of about 120 bytes: an id, 15 words, a label, a number, a date."""
    draw = random.Random(0)
    words = [f"word{number}" for number in range(5_000)]
    for number in range(count):
        yield {
            "id": f"id{number}",
            "text": " ".join(draw.choices(words, k=15)),
            "label": draw.choice(LABELS),
            "stars": number % 5,
            "written": "2026-01-02T03:04:05",
        }


def write_inputs(folder: Path, count: int) -> None:
    """The same rows in every format that is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = make_rows(count)
    first = next(rows)
    with (
        (folder / "in.csv").open("w", newline="") as csv_file,
        (folder / "in.jsonl").open("w") as lines,
        (folder / "in.json").open("w") as array,
        (folder / "in.txt").open("w") as text,
    ):
        writer = csv.DictWriter(csv_file, list(first))
        writer.writeheader()
        parquet: pq.ParquetWriter | None = None
        separator = "["
        chain = itertools.chain([first], rows)
        while batch := list(itertools.islice(chain, BATCH)):
            writer.writerows(batch)
            for row in batch:
                line = json.dumps(row)
                lines.write(line + "\n")
                array.write(separator + line)
                text.write(row["text"] + "\n")
                separator = ",\n"
            table = pa.Table.from_pylist(batch)
            parquet = parquet or pq.ParquetWriter(folder / "in.parquet", table.schema)
            parquet.write_table(table)
        array.write("]")
        if parquet is not None:
            parquet.close()


def export_batch() -> Any:
    """One table of the export schema; a full export repeats it."""
    import pyarrow as pa

    from imfl_engine.data.schema import EXPORT_SCHEMA

    draw = random.Random(1)
    rows = []
    for row in make_rows(BATCH):
        sure = draw.random()
        values: dict[str, Any] = dict.fromkeys(EXPORT_SCHEMA.names)
        values |= {"id": row["id"], "text": row["text"], "options": [], "label_text": row["label"]}
        values |= {"source": "llm", "split": "pool" if len(rows) % 5 else "test", "round": 1}
        values |= {"annotator": "model-x", "llm_label": row["label"], "llm_confidence": sure}
        values |= {"p_wrong": 1 - sure, "model_label": row["label"], "model_confidence": sure}
        values |= {"review_status": "unreviewed", "control": False, "flag": False, "seconds": 0.5}
        values |= {"llm_model": "model-x", "prompt_hash": "0123456789abcdef"}
        values |= {"demonstration_ids": ["id1", "id2", "id3"], "input_tokens": 300}
        values |= {"output_tokens": 3, "cost_usd": 0.0001, "meta": '{"stars":5}'}
        values |= {"created_at": datetime(2026, 1, 2, tzinfo=UTC)}
        rows.append(values)
    return pa.Table.from_pylist(rows, schema=EXPORT_SCHEMA)


def ours_read(folder: Path, kind: str, count: int) -> Callable[[], int]:
    """Read one file through a source."""
    from imfl_engine.data.reading import open_source

    def work() -> int:
        return sum(table.num_rows for table in open_source(folder / f"in.{kind}").tables())

    return work


def ours_write(folder: Path, kind: str, count: int) -> Callable[[], int]:
    """Write one export."""
    from imfl_engine.data.writing import write_export

    table = export_batch()
    name = "out" if kind == "dataset" else f"out{OTHER_TOOLS.get(kind, '.' + kind)}"

    def work() -> int:
        tables = itertools.repeat(table, count // BATCH)
        return write_export(tables, folder / name, labels=LABELS, format_name=kind).rows

    return work


def pandas_read(folder: Path, kind: str, count: int) -> Callable[[], int]:
    """Read one file into a frame."""
    import pandas

    path = folder / f"in.{kind}"
    readers: dict[str, Callable[[], Any]] = {
        "csv": lambda: pandas.read_csv(path),
        "jsonl": lambda: pandas.read_json(path, lines=True),
        "json": lambda: pandas.read_json(path),
        "parquet": lambda: pandas.read_parquet(path),
        "txt": lambda: pandas.read_csv(path, names=["text"], sep="\x01"),
    }
    return lambda: len(readers[kind]())


def pandas_write(folder: Path, kind: str, count: int) -> Callable[[], int]:
    """Write one frame."""
    import pandas

    frame = pandas.concat([export_batch().to_pandas()] * (count // BATCH), ignore_index=True)
    path = folder / f"pandas.{kind}"
    writers: dict[str, Callable[[], Any]] = {
        "csv": lambda: frame.to_csv(path, index=False),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }

    def work() -> int:
        writers[kind]()
        return len(frame)

    return work


def peak_memory() -> int:
    """The most memory that this process has held, in MiB, imports included."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the process that started this one too
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20


def measure(name: str, kind: str, folder: Path, count: int) -> dict[str, Any]:
    """Run one measurement here, in a process that does nothing else."""
    work = globals()[name](folder, kind, count)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    return {
        "what": f"{name.partition('_')[2]} {kind}",
        "by": name.partition("_")[0],
        "rows": rows,
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mb": peak_memory(),
    }


def main() -> None:
    """Make the inputs, run every measurement in its own process, print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", help="a word that the measurement's name must hold")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure, options.folder, options.rows)))
        return
    makers = ["ours"] + (["pandas"] if find_spec("pandas") else [])
    plan = [(f"{by}_read", kind) for kind in READS for by in makers]
    plan += [(f"{by}_write", kind) for kind in WRITES[:3] for by in makers]
    plan += [("ours_write", kind) for kind in ("dataset", *OTHER_TOOLS)]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for count in (options.rows // 10, options.rows):
            write_inputs(Path(name), count)
            for what, kind in plan:
                if options.only and options.only not in f"{what} {kind}":
                    continue
                command = [sys.executable, __file__, "--measure", what, kind]
                command += ["--folder", name, "--rows", str(count)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                print(done.stdout.strip() or done.stderr.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
