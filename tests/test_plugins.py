"""Task types and backends that other packages bring, by module and by entry point."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks import MemoryBackend, TaskType
from cortex_tasks.cli.exits import CommandFailed
from cortex_tasks.cli.plugins import load_backend, load_task_types
from tests.cli_process import serving

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
SHOP = """
from cortex_tasks import MemoryBackend, TaskContext, task_type

@task_type("shop.greet")
async def greet(ctx: TaskContext, params: dict[str, str]) -> str:
    return "Hello " + params["name"]

@task_type("shop.count", runs="process")
def count(ctx, params: list[int]) -> int:
    return sum(params)

types = [greet, count]
broken = [greet, len]
nothing = 7

def both():
    return types

def fails():
    raise LookupError("no shop today")

def leaves():
    raise SystemExit(0)

def leaves_late():
    yield greet
    raise SystemExit(0)

def backend(folder):
    assert folder.name == "tasks"
    return MemoryBackend()

def no_backend(folder):
    return object()
"""
REGISTERED = """
[cortex_tasks.task_types]
greetings = shop:greet
gone = shop_that_is_gone:types

[cortex_tasks.backends]
shelf = shop:backend
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution with a module of task types, and nothing else."""
    folder = tmp_path / "site"
    about = folder / "shop-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "shop.py").write_text(SHOP)
    (folder / "empty_shop.py").write_text("")
    (folder / "program_of_a_shop.py").write_text("import sys; sys.exit(0)")
    (folder / "shut_shop.py").write_text("import shop_that_is_gone")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(REGISTERED)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield folder
    for name in ("shop", "empty_shop"):
        sys.modules.pop(name, None)


def names_of(types: list[TaskType[Any, Any]]) -> list[str]:
    return [declared.name for declared in types]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("shop", ["shop.greet", "shop.count"]),
        ("shop:types", ["shop.greet", "shop.count"]),
        ("shop:both", ["shop.greet", "shop.count"]),
        ("shop:greet", ["shop.greet"]),
        ("greetings", ["shop.greet"]),
    ],
)
def test_a_word_names_a_module_a_part_of_it_or_what_a_package_registered(
    shop: Path, spec: str, names: list[str]
) -> None:
    assert names_of(load_task_types([spec])) == names


def test_a_type_that_is_named_twice_is_there_once(shop: Path) -> None:
    assert names_of(load_task_types(["shop:greet", "shop"])) == ["shop.greet", "shop.count"]


def test_a_name_that_two_packages_have_registered_is_nobodys(shop: Path) -> None:
    about = shop / "mall-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mall\nVersion: 1.0\n")
    names = "[cortex_tasks.task_types]\ngreetings = shop:count\nboth = shop:both\n"
    (about / "entry_points.txt").write_text(names)
    said = "'greetings' is registered more than once: as shop:count and shop:greet"
    with pytest.raises(CommandFailed, match=said):
        load_task_types(["greetings"])
    assert names_of(load_task_types(["shop:greet", "both"])) == ["shop.greet", "shop.count"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("shops", "cortex_tasks.task_types: gone, greetings"),
        ("shop.absent:types", "cannot be loaded: ModuleNotFoundError"),
        ("shop:absent", "there is no 'absent'"),
        ("empty_shop", "No task type stands in 'empty_shop'"),
        ("shut_shop:types", "No module named 'shop_that_is_gone'"),
        ("gone", "No module named 'shop_that_is_gone'"),
        ("shop:broken", "which is no task type: decorate it"),
        ("shop:nothing", "is no task type and gives none: 7"),
        ("shop:fails", "shop:fails failed: LookupError: no shop today"),
        (":types", "':types' cannot be loaded"),
        ("program_of_a_shop", "'program_of_a_shop' cannot be loaded: SystemExit: 0"),
        ("shop:leaves", "shop:leaves failed: SystemExit: 0"),
        ("shop:leaves_late", "shop:leaves_late failed: SystemExit: 0"),
    ],
)
def test_what_cannot_be_loaded_is_said_by_name(shop: Path, spec: str, said: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        load_task_types([spec])
    assert said in str(failed.value)


@pytest.mark.parametrize("spec", ["shelf", "shop:backend"])
def test_a_backend_is_made_over_the_folder(shop: Path, tmp_path: Path, spec: str) -> None:
    assert isinstance(load_backend(spec, tmp_path / "tasks"), MemoryBackend)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("shop:no_backend", "it has no open, commit, give_up_reserve, restore_reserve"),
        ("shop:nothing", "is no function from a folder to a backend"),
        ("shop:fails", "TypeError"),
        ("no_such", "cortex_tasks.backends: shelf"),
    ],
)
def test_what_is_no_backend_is_said_by_name(
    shop: Path, tmp_path: Path, spec: str, said: str
) -> None:
    with pytest.raises(CommandFailed) as failed:
        load_backend(spec, tmp_path / "tasks")
    assert said in str(failed.value)


def test_a_server_runs_the_types_and_the_backend_of_the_page(
    anyio_backend: str, tmp_path: Path
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text("\n".join(examples))

    def ask(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": "cortex_admin_laws", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    with serving(
        tmp_path / "data",
        *("--types", "shop", "--backend", "shop:shelf"),
        PYTHONPATH=str(tmp_path),
        CORTEX_TASKS_LOOP=anyio_backend,
        ADMIN_API_KEY="cortex_admin_laws",
    ) as (url, said, _):
        assert "tasks in the backend shop:shelf" in said
        wanted = {"task_type": "shop.greet", "params": {"name": "Ada"}}
        task = ask("POST", "/api/tasks", wanted)
        while task["status"] not in ("completed", "failed", "cancelled"):
            task = ask("GET", f"/api/tasks/{task['task_id']}?wait=10")
        assert ask("GET", f"/api/tasks/{task['task_id']}/result") == "Hello Ada"
    assert not (tmp_path / "data" / "tasks").exists()
