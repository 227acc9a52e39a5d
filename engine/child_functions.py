"""How a function is named to a child process, and which functions cannot be."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any, Final

from .child_main import LOADING, MAIN_ALIAS, FunctionName, MainScript
from .errors import NotImportable

_MAIN_NAMES: Final = ("__main__", MAIN_ALIAS)
_ADVICE: Final = (
    "A child process imports the function by name: define it with `def` at the top level of a "
    "module, and hand over what it needs as arguments."
)


def name_of(function: Callable[..., Any]) -> FunctionName:
    """Give the name by which a child finds this very function.

    A decorated function is found through the `__wrapped__` of what took its place in the module.
    Raises NotImportable, and starts nothing, if a child could not find it or would find another;
    TypeError for an `async def`, which a child has no event loop for.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} is async: a child process runs plain functions")
    module = getattr(function, "__module__", None)
    qualified_name = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualified_name, str):
        raise NotImportable(f"{function!r} has no name of its own. {_ADVICE}")
    if "<" in qualified_name:  # <lambda>, <locals>
        raise NotImportable(f"{module}.{qualified_name} exists only where it was made. {_ADVICE}")
    if module in _MAIN_NAMES and main_script() is None:
        raise NotImportable(
            f"{qualified_name} is defined in an interactive session or in a package's __main__, "
            f"which a child cannot load: move it to a module. {_ADVICE}"
        )
    wrappers = _wrappers_around(function, module, qualified_name)
    if wrappers is None:
        raise NotImportable(
            f"{module}.{qualified_name} is not {function!r} but something else or nothing "
            f"(a method of an object, a decorator without functools.wraps?). {_ADVICE}"
        )
    return module, qualified_name, wrappers


def main_script() -> MainScript | None:
    """Give where a child can load the parent's script from; None if it must not or cannot.

    Raises NotImportable in a child that is loading the script right now: it starts work outside of
    its `__main__` guard, and each child would start the next.
    """
    main = sys.modules["__main__"]
    if hasattr(main, LOADING):
        raise NotImportable(
            "the script starts child processes while it is being loaded in one: put what it runs "
            'under `if __name__ == "__main__":`'
        )
    return _script_of(main)


@functools.cache
def _script_of(main: ModuleType) -> MainScript | None:
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        # The __main__ of a package or an archive is not guarded by custom: loading it would run it.
        runs_when_loaded = spec.name.rpartition(".")[2] == "__main__"
        return None if runs_when_loaded or spec.origin is None else (spec.name, spec.origin)
    path = getattr(main, "__file__", None)
    if path is None or not Path(path).is_file():
        return None
    return None, str(Path(path).absolute())


def main_script_for(name: FunctionName, arguments: bytes) -> MainScript | None:
    """Give the script if the call needs it: its function, or part of its arguments, is from there.

    A mere text "__main__" in the arguments counts too: it costs one needless load in that child.
    """
    named = name[0] in _MAIN_NAMES or any(known.encode() in arguments for known in _MAIN_NAMES)
    return main_script() if named else None


def know_main_alias() -> None:
    """Let this process read objects whose class a child knows under the script's other name."""
    sys.modules.setdefault(MAIN_ALIAS, sys.modules["__main__"])


def _wrappers_around(function: Any, module: str, qualified_name: str) -> int | None:
    """How many wrappers stand between the name and the function; None if it is not there."""
    found: Any = sys.modules.get(module)
    for part in qualified_name.split("."):
        found = getattr(found, part, None)
    wrappers = 0
    while found is not None:
        # A bound method of a class is made anew at each look, so it is never identical.
        if found is function or (isinstance(function, MethodType) and found == function):
            return wrappers
        found, wrappers = getattr(found, "__wrapped__", None), wrappers + 1
    return None
