"""What the layer contract of `make check` (pyproject.toml) cannot see for itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALLOWED = {"anyio", "msgspec", *sys.stdlib_module_names}


def packages_imported(file: Path) -> Iterator[str]:
    """The first names of all absolute imports in a file, those inside functions among them."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_the_engine_and_the_backends_import_anyio_msgspec_and_the_standard_library_alone() -> None:
    files = [file for part in ("engine", "backends") for file in (ROOT / part).rglob("*.py")]
    foreign = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in packages_imported(file)
        if name not in ALLOWED
    ]
    assert len(files) > 0
    assert foreign == []


def test_our_folders_import_each_other_by_relative_imports() -> None:
    ours = {"cortex_tasks", "engine", "backends", "jobs"}
    absolute = [
        f"{file.relative_to(ROOT)}: {name}"
        for part in ("engine", "backends", "jobs", "http")
        for file in (ROOT / part).rglob("*.py")
        for name in packages_imported(file)
        if name in ours
    ]
    assert absolute == []
