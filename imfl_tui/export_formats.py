"""The formats that Export offers, where each is written, and which name contradicts which format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imfl_tui.text import one_line


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write the set: what it is called, the engine's name of it, what reads it."""

    name: str
    engine: str
    ending: str
    """How a place that is suggested ends; a file of the format ends in its last part."""
    words: str

    @property
    def suffix(self) -> str:
        """What the name of a file of the format must end in: ``.parquet``; empty for a folder."""
        return self.ending[self.ending.find(".") :] if self.ending else ""


FORMATS = (
    Format("Parquet", "parquet", ".parquet", "one typed file; pandas, polars, DuckDB, datasets"),
    Format("JSON Lines", "jsonl", ".jsonl", "one object a line"),
    Format("CSV", "csv", ".csv", "for spreadsheets"),
    Format(
        "Hugging Face folder", "dataset", "", "load_dataset(folder) opens it, with a data-set card"
    ),
    Format("Argilla", "argilla", "-argilla.parquet", "responses and suggestions"),
    Format("Label Studio", "labelstudio", "-labelstudio.json", "annotations and predictions"),
    Format("Prodigy", "prodigy", "-prodigy.jsonl", "one row a decision"),
)
FILE_SUFFIXES = frozenset(format.suffix for format in FORMATS if format.suffix)


def default_path(project: Path, format: Format) -> str:
    """A place beside the project: ``earnings-tone.parquet``; the folder gets ``-dataset``."""
    return str(project.with_name(project.stem + (format.ending or "-dataset")))


def name_problem(destination: str, format: Format) -> str:
    """Say in one sentence how the place contradicts the chosen format; empty where it does not."""
    name = Path(destination.strip()).name
    suffix = Path(name).suffix.lower()
    if not name or suffix == format.suffix:
        return ""
    shown = one_line(name, 40)
    if format.suffix:
        return f"“{shown}” does not end in {format.suffix}, as a {format.name} file must."
    if suffix in FILE_SUFFIXES:
        return f"“{shown}” ends in {suffix}, but a {format.name} has no such ending."
    return ""
