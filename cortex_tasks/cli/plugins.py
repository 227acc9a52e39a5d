"""Task types and backends of other packages: named on the command line, loaded here.

    --types my_package:types      a module, and what of it: a task type, several, or a function
                                  that gives them; without the part behind the colon every task
                                  type that stands in the module
    --types NAME                  the same, where an installed package registers it under that
                                  name (entry points of the group `cortex_tasks.task_types`)
    --backend NAME                a function from the folder for the tasks to a backend (group
                                  `cortex_tasks.backends`), or a module and a function as above

Nothing is loaded that was not named: to install a package is not yet to run it in the server.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from ..engine.registry import TaskType
from ..engine.storage import Backend
from .exits import CommandFailed

TASK_TYPES = "cortex_tasks.task_types"
BACKENDS = "cortex_tasks.backends"

_METHODS = (
    "open",
    "commit",
    "give_up_reserve",
    "restore_reserve",
    "read",
    "close",
)


def load_task_types(specs: Iterable[str]) -> list[TaskType[Any, Any]]:
    """Give the task types that these words name. Raises CommandFailed that says what is wrong."""
    found: list[TaskType[Any, Any]] = []
    for spec in specs:
        origin, loaded = _load(spec, TASK_TYPES)
        found += (declared for declared in _types_in(spec, origin, loaded) if declared not in found)
    return found


def load_backend(spec: str, folder: Path) -> Backend:
    """Make the backend that this word names, over the folder. Raises CommandFailed."""
    origin, make = _load(spec, BACKENDS)
    if not callable(make):
        raise CommandFailed(f"{origin} is no function from a folder to a backend, but {make!r}.")
    made: Any = _call(origin, make, folder)
    missing = [name for name in _METHODS if not callable(getattr(made, name, None))]
    if missing:
        raise CommandFailed(
            f"{origin} gave {made!r}, which is no backend: it has no {', '.join(missing)}."
        )
    backend: Backend = made
    return backend


def _load(spec: str, group: str) -> tuple[str, object]:
    """Give what the word names, and how to call it in an error."""
    points = entry_points(group=group)
    registered = {point.name for point in points}
    if spec in registered:
        return _entered(spec, *{point.value: point for point in points.select(name=spec)}.values())
    module_name, _, path = spec.partition(":")
    if ":" not in spec and "." not in spec and not _importable(module_name):
        known = ", ".join(sorted(registered)) or "none"
        raise CommandFailed(
            f"{spec!r} is neither registered by an installed package ({group}: {known}) nor a "
            "module that can be imported here. Write it as my_package.my_module:name."
        )
    found: object = _import(spec, lambda: importlib.import_module(module_name))
    for name in filter(None, path.split(".")):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CommandFailed(f"{spec!r}: there is no {name!r} in {found!r}.") from None
    return spec, found


def _entered(name: str, point: EntryPoint, *others: EntryPoint) -> tuple[str, object]:
    if others:
        values = " and ".join(sorted(each.value for each in (point, *others)))
        raise CommandFailed(
            f"{name!r} is registered more than once: as {values}. Name one of these itself."
        )
    return f"{name} ({point.value})", _import(point.value, point.load)


def _importable(name: str) -> bool:
    _look_here()
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _import(spec: str, load: Callable[[], object]) -> object:
    _look_here()
    try:
        return load()
    except (Exception, SystemExit) as error:  # a module may try to be a program
        raise CommandFailed(
            f"{spec!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _look_here() -> None:
    """Let modules of the present folder be found, as with `python -m`."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path and not os.environ.get("PYTHONSAFEPATH"):
        sys.path.insert(0, here)


def _types_in(spec: str, origin: str, loaded: object) -> list[TaskType[Any, Any]]:
    if isinstance(loaded, TaskType):
        return [loaded]
    if isinstance(loaded, type(sys)):
        found = [each for each in vars(loaded).values() if isinstance(each, TaskType)]
        if not found:
            raise CommandFailed(f"No task type stands in {spec!r}: declare one with @task_type.")
        return found
    if callable(loaded):
        loaded = _call(origin, loaded)
    if isinstance(loaded, TaskType):
        return [loaded]
    if not isinstance(loaded, Iterable):
        raise CommandFailed(f"{origin} is no task type and gives none: {loaded!r}.")
    given: Iterable[object] = loaded
    found = []
    for each in cast("list[object]", _call(origin, lambda: list(given))):
        if not isinstance(each, TaskType):
            raise CommandFailed(
                f"{origin} holds {each!r}, which is no task type: decorate it with @task_type."
            )
        found.append(each)
    return found


def _call(origin: str, function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except CommandFailed:
        raise
    except (Exception, SystemExit) as error:
        raise CommandFailed(f"{origin} failed: {type(error).__name__}: {error}") from error
