"""Everything that can go wrong, in our words.

::

    ImflError                 exit 1   shown to the person: one sentence and one hint
    ├── UsageError            exit 2   what was typed cannot be done; another command line can
    │   ├── SettingsError              a setting has a wrong value, named by its dotted path
    │   └── ProjectExists              the file is there already
    ├── DataError             exit 1   a file's content cannot be used
    ├── ProjectError          exit 1   the project file cannot be used
    │   ├── NotAProject
    │   ├── NewerSchema
    │   └── ProjectLocked     exit 3   another process holds the file
    ├── StorageError          exit 1   disk full, no permission
    ├── AnnotatorError        exit 1   the annotator cannot be asked at all
    │   ├── KeyMissing
    │   ├── EndpointError
    │   └── PriceUnknown
    ├── BudgetReached         exit 4   the hard stop in labels, money or minutes
    └── ComputeError          exit 1   the compute process failed; the app goes on
        ├── ComputeCrashed
        ├── OutOfMemory
        └── ModelError                 a model cannot be found or loaded

A library's error is mapped to one of these where it enters, once; nothing above the edge catches
library errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

ANY_PROJECT = "PROJECT.db"
"""What hints call the project file; who knows its name puts it there."""


class ImflError(Exception):
    """An error a person is shown: ``message`` says what and where, ``hint`` what to do.

    A hint calls the project file `ANY_PROJECT`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ImflError):
    """What was asked for cannot be done; a different command line can."""

    exit_code = 2


class SettingsError(UsageError):
    """One or more settings have a wrong value; the message names each dotted path.

    ``problems`` are pairs of a dotted path and what is wrong with its value.
    """

    def __init__(
        self, message: str, hint: str = "", *, problems: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[tuple[str, str]], hint: str) -> SettingsError:
        """The error that tells of ``problems``, each where it is."""
        told = "; ".join(f"{name} {words}" for name, words in problems)
        return cls(f"{told}.", hint, problems=problems)

    def renamed(self, names: Mapping[str, str], hint: str) -> SettingsError:
        """The same error with settings called as the person typed them, and a ``hint`` for that."""
        if not self.problems:
            return SettingsError(self.message, hint)
        return SettingsError.of(
            [(names.get(path, path), words) for path, words in self.problems], hint
        )


class ProjectExists(UsageError):
    """The file a new project should be written to is there already."""


class DataError(ImflError):
    """A file's content cannot be used: encoding, shape, emptiness."""


class ProjectError(ImflError):
    """The project file cannot be used."""


class NotAProject(ProjectError):
    """The file is no imfl-tui project."""


class NewerSchema(ProjectError):
    """The project was written by a newer version of imfl-tui."""


class ProjectLocked(ProjectError):
    """Another process holds the project file."""

    exit_code = 3


class StorageError(ImflError):
    """The disk refused: full, read-only or not permitted."""


class AnnotatorError(ImflError):
    """The annotator cannot be asked at all."""


class KeyMissing(AnnotatorError):
    """The environment has no API key."""


class EndpointError(AnnotatorError):
    """The endpoint does not answer, or not as an OpenAI-compatible server does."""


class PriceUnknown(AnnotatorError):
    """The model has no known price, and zero must not be assumed."""


class BudgetReached(ImflError):
    """A hard limit in labels, money or minutes is reached."""

    exit_code = 4


class ComputeError(ImflError):
    """A job in the compute process failed."""


class ComputeCrashed(ComputeError):
    """The compute process ended in the middle of a job."""


class OutOfMemory(ComputeError):
    """The device has not enough memory even for the smallest batch."""


class ModelError(ComputeError):
    """A model cannot be found or loaded."""
