"""The data a command line names: sources of items, and the task they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import DataError, UsageError

if TYPE_CHECKING:
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.reading import Source


def open_data(
    data: Sequence[str],
    *,
    text: str | None,
    context: str | None,
    options: str | None,
    label: str | None,
    id: str | None,
    encoding: str | None,
    test: str | None,
    seed: int,
    preset: str | None,
    labels: str | None,
    labels_from: str | None,
    kind: str | None,
    guidelines: Path | None,
) -> tuple[list[Source], dict[str, Any]]:
    """The sources of the items, and the task as settings: what is asked about each of them."""
    from imfl_engine.data.guess import Columns, guess_kind

    if preset is not None:
        sources, asked = open_published(preset, data, test=test, seed=seed, encoding=encoding)
    else:
        columns = Columns(text, context, options, label, id)
        sources = open_sources(data, columns, test=test, seed=seed, encoding=encoding)
        asked = {"kind": kind or guess_kind(sources[0].columns)}
        if asked["kind"] == "multiple-choice":
            check_options(sources[0], data[0])
    if labels is not None or (preset is None and asked["kind"] == "classification"):
        names = schema(sources[0], labels, labels_from, data, encoding)
        asked["labels"] = [{"name": name} for name in names]
    if guidelines is not None:
        asked["guidelines"] = read_guidelines(guidelines)
    return sources, asked


def open_sources(
    data: Sequence[str],
    columns: Columns,
    *,
    test: str | None = None,
    seed: int = 0,
    encoding: str | None = None,
) -> list[Source]:
    """The pool and, where ``--test`` names a file, the test set with the same columns."""
    from dataclasses import replace

    from imfl_engine.data.reading import open_source

    share, test_file = parse_test(test)
    pool = open_source(data, columns, test_fraction=share, seed=seed, encoding=encoding)
    if share and not pool.columns.label:
        raise UsageError(
            f"--test {test} holds out items with a label, and the data has no column of labels.",
            "Name it with --label, or leave --test out: random ones of your labels measure too.",
        )
    if test_file is None:
        return [pool]
    # The test file is read with the columns of the pool, but may lack an identifier or a context.
    found = replace(pool.columns, id=columns.id, context=columns.context)
    return [pool, open_source(test_file, found, split="test", encoding=encoding)]


def check_options(source: Source, name: str) -> None:
    """Raise `UsageError` unless the items bring options of their own to choose from."""
    from imfl_engine.data.values import as_options

    column = source.columns.options
    hint = f"Name it with --options; the columns are {', '.join(source.column_names)}."
    if not column:
        raise UsageError(
            f"'{name}' has no column with an item's own options, which multiple choice needs.", hint
        )
    if all(len(as_options(row[column])[1]) < 2 for row in source.preview()):
        raise UsageError(
            f"Column '{column}' of '{name}' holds no options to choose from: an item needs two.",
            hint,
        )


def open_published(
    preset: str, data: Sequence[str], *, test: str | None, seed: int, encoding: str | None
) -> tuple[list[Source], dict[str, Any]]:
    """A published data set's own files, and what its task asks."""
    from imfl_engine.data.presets import open_preset

    share, test_file = parse_test(test)
    found = open_preset(preset, data, test_fraction=share, seed=seed, encoding=encoding)
    sources = [found.source]
    if test_file is not None:
        sources.append(open_preset(preset, test_file, split="test", encoding=encoding).source)
    return sources, found.task.model_dump()


def parse_test(test: str | None) -> tuple[float, str | None]:
    """What ``--test`` means: the share of the items to hold out, or the file of a test set."""
    if test is None:
        return 0.0, None
    try:
        share = float(test)
    except ValueError:
        return 0.0, test
    if not 0 < share < 1:
        raise UsageError(
            f"--test {test} is no share of the items.", "Give a number between 0 and 1, or a file."
        )
    return share, None


def read_guidelines(path: Path) -> str:
    """The text of the guidelines file."""
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        raise UsageError(
            f"There is no guidelines file '{path}'.", "Check the path and its spelling."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"The guidelines '{path}' are not UTF-8: byte {error.start} does not decode.",
            "Save the file as UTF-8.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"The guidelines '{path}' cannot be read: {error.strerror or error}.",
            "Give a text file, as in guidelines.md.",
        ) from error


def schema(
    pool: Source,
    labels: str | None,
    labels_from: str | None,
    data: Sequence[str],
    encoding: str | None,
) -> tuple[str, ...]:
    """The names of the labels: given, or found in the data.

    Raises `UsageError` where none are given nor found, `DataError` where the column holds no
    schema.
    """
    if labels is not None:
        names = tuple(dict.fromkeys(part.strip() for part in labels.split(",") if part.strip()))
        if len(names) < 2:
            raise UsageError(
                f"--labels names {len(names)} label{'s' * (len(names) != 1)}; "
                "classification needs at least two.",
                "Give them with commas, as in --labels yes,no.",
            )
        return names
    if labels_from is not None:
        from imfl_engine.data.guess import Columns
        from imfl_engine.data.reading import open_source

        columns = Columns(text=pool.columns.text, label=labels_from, options="", id="", context="")
        return _labels_of(open_source(data, columns, encoding=encoding), data[0])
    if not pool.columns.label:
        raise UsageError(
            "No labels are given, and the data has no column that looks like labels.",
            "Name them with --labels a,b,c, or their column with --label; the columns are "
            f"{', '.join(pool.column_names)}.",
        )
    return _labels_of(pool, data[0])


def _labels_of(source: Source, name: str) -> tuple[str, ...]:
    from imfl_engine.data.guess import guess_labels

    counts = source.label_counts()
    where = f"Column '{source.columns.label}' of '{name}'"
    if not counts:
        raise DataError(f"{where} is empty.", "Name the labels with --labels a,b,c.")
    if len(counts) == 1:
        raise DataError(
            f"{where} holds one label only, '{next(iter(counts))}'.",
            "Name all the labels with --labels a,b,c.",
        )
    names = guess_labels(counts)
    if not names:
        raise DataError(
            f"{where} holds {len(counts):,} different values, which is no set of labels.",
            "Name another column with --label, or the labels with --labels a,b,c.",
        )
    return names
