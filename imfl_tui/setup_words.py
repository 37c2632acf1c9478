"""Errors in the words of the set-up: it has fields where the command line has flags."""

from __future__ import annotations

import re

from imfl_engine.errors import ImflError

_WORDS = (
    (
        r"Give it in US dollars per million tokens: `--price.*\)\.",
        "Write it into the field price, in US dollars per million tokens, for input and output "
        "(0 0 for a server that charges nothing).",
    ),
    (
        r", or name another variable with `imfl-tui config \S+ annotator\.key_name NAME`\.",
        " and start again: your answers are kept.",
    ),
    (r"an environment variable, which annotator\.key_name names", "the variable OPENAI_API_KEY"),
    (r"that `--base-url` is right", "that the field address is right"),
    (r"`--base-url`", "the field address"),
    (r"Set annotator\.base_url to the address", "Write into the field address the one"),
    (r", or name its encoding with --encoding[^.]*", ""),
    (r"Leave --encoding out, or name the right one\.", "Convert the file to UTF-8."),
    (r"Name it with --text", "Choose it as text"),
    (r"Name the column with --label", "Choose the column as label"),
    (r"Check the --text column", "Check the column chosen as text"),
    (r"a smaller share with --test", "a smaller share as the test set"),
)
"""What the engine says to people at a command line, and what is said here instead."""

_FOR_A_SHELL = re.compile(r"(?<!\w)--[a-z]|imfl-tui config|PROJECT\.db")


def in_fields(error: ImflError) -> tuple[str, str]:
    """The message and the hint of an error, naming fields; a sentence about flags alone is left out."""
    return _translated(error.message), _translated(error.hint)


def _translated(text: str) -> str:
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    if not _FOR_A_SHELL.search(text):
        return text
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", text)
    return " ".join(one for one in sentences if not _FOR_A_SHELL.search(one))
