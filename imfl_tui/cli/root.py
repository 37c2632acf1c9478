"""The command tree. ``imfl-tui PROJECT.db`` is short for ``imfl-tui open PROJECT.db``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from imfl_tui import __version__
from imfl_tui.cli import (
    creation,
    doctor,
    experiments,
    labelling,
    opening,
    results,
    rounds,
    states,
)
from imfl_tui.cli.shell import USAGE_ERRORS, command, say_error

OPEN = "open"


class PathOrCommand(TyperGroup):
    """A group whose first word may be a project file instead of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``open`` in front of a first word that is a path."""
        if (
            args
            and not args[0].startswith("-")
            and args[0] not in self.commands
            and is_path(args[0])
        ):
            args = [OPEN, *args]
        return list(super().parse_args(ctx, args))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run, showing a usage error as every other error: one sentence, one hint, exit code 2."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, *rest, **extra)
        except USAGE_ERRORS as error:
            if isinstance(error, typer.Exit):
                sys.exit(error.exit_code)
            if isinstance(error, typer.Abort):
                sys.exit(130)
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "imfl-tui"
            say_error(_sentence(error), f"Run `{path} --help` to see what can be given.")
            sys.exit(getattr(error, "exit_code", 2))
        sys.exit(code if isinstance(code, int) else 0)


class MayBeNegative(TyperCommand):
    """A command whose arguments may be negative numbers, which look like options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is no option as an argument where there is a negative number."""
        ctx.ignore_unknown_options = any(map(is_negative, args))
        return list(super().parse_args(ctx, args))


def is_negative(word: str) -> bool:
    """Whether a word is a number below zero."""
    try:
        return word.startswith("-") and float(word) <= 0
    except ValueError:
        return False


def is_path(word: str) -> bool:
    """Whether a word that is no command can only be meant as a file."""
    return Path(word).suffix != "" or "/" in word or "\\" in word or Path(word).exists()


def _sentence(error: Exception) -> str:
    text = (
        str(getattr(error, "format_message", lambda: str(error))())
        .replace(": Value error, ", ": ")
        .strip()
        or "Nothing to do"
    )
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _version(wanted: bool) -> None:
    if wanted:
        print(f"imfl-tui {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Label a little, let an LLM label the rest, train a small model.

    `imfl-tui PROJECT.db` opens the app; a file that does not exist starts the set-up screen.
    """


app = typer.Typer(
    name="imfl-tui",
    cls=PathOrCommand,
    callback=_root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    "Start": {
        OPEN: opening.open_,
        "new": creation.new,
        "import": creation.import_,
        "demo": opening.demo,
    },
    "Rounds": {
        "plan": states.plan,
        "run": rounds.run,
        "next": labelling.next_,
        "label": labelling.label,
        "status": states.status,
        "config": states.config,
    },
    "Results": {
        "evaluate": results.evaluate,
        "export": results.export,
        "predict": results.predict,
        "save-model": results.save_model,
    },
    "Research and help": {"replay": experiments.replay, "doctor": doctor.doctor},
}
NEGATIVE = {"config", "label"}
"""The commands that take a negative number: as a value, as a label."""
for _panel, _commands in COMMANDS.items():
    for _name, _function in _commands.items():
        _class = MayBeNegative if _name in NEGATIVE else TyperCommand
        app.command(_name, cls=_class, rich_help_panel=_panel)(command(_function))


def main() -> None:
    """Run the command line of this process; libraries' warnings go to the log file."""
    logging.captureWarnings(True)
    app(prog_name="imfl-tui")
