"""What is declared is what is used, and what is shipped is what the code needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
OURS = {"imfl_tui", "imfl_engine"}


def project_table() -> dict[str, object]:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def imported(package: str) -> set[str]:
    """Distributions imported anywhere in a package, also inside functions."""
    names: set[str] = set()
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    outside = names - set(sys.stdlib_module_names) - OURS
    return {normal(DISTRIBUTIONS.get(name, name)) for name in outside}


@pytest.mark.parametrize("package", sorted(OURS))
def test_every_import_is_a_declared_dependency(package: str) -> None:
    table = project_table()
    declared = {normal(requirement) for requirement in table["dependencies"]}
    for extra in ("gguf", "hf", "ray"):
        declared |= {normal(requirement) for requirement in table["optional-dependencies"][extra]}
    missing = imported(package) - declared
    assert not missing, f"imported but not in pyproject.toml: {sorted(missing)}"


def test_every_dependency_has_a_tested_version() -> None:
    table = project_table()
    pinned = {
        normal(line)
        for line in (REPOSITORY / "tests/constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    }
    extras = table["optional-dependencies"]
    wanted = [*table["dependencies"], *extras["test"], *extras["dev"]]
    missing = {normal(requirement) for requirement in wanted} - pinned - {"imfl-tui"}
    assert not missing, sorted(missing)


def test_the_constraints_pull_in_no_cuda_packages() -> None:
    text = (REPOSITORY / "tests/constraints.txt").read_text("utf-8")
    assert "torch==" in text
    assert not re.search(r"^(nvidia|cuda|triton)", text, re.MULTILINE)


def test_the_top_level_holds_nothing_unexpected() -> None:
    allowed = {"pyproject.toml", "imfl_tui", "imfl_engine", "tests", "sample_data", "README.md"}
    tracked = (REPOSITORY / ".git").exists()
    if not tracked:
        pytest.skip("not a checkout")
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    top = {name.partition("/")[0] for name in listed if name}
    assert {name for name in top if not name.startswith(".")} <= allowed
