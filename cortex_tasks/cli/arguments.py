"""Building blocks of the command line: options that also have a variable, and values checked early.

An option on the command line wins over its variable, and the variable over the default. Of a value
that makes no sense, the error names the place it came from.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no public name
Reader: TypeAlias = Callable[[str], Any]  # raises argparse.ArgumentTypeError

PREFIX = "CORTEX_TASKS_"
DEFAULT_URL = "http://127.0.0.1:8000"


class CommandParser(argparse.ArgumentParser):
    """Reads a command, whose options may stand anywhere: before its words, between and after them.

    argparse by itself takes a word that may be left out as left out once an option comes before it.
    """

    _intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See argparse.ArgumentParser."""
        has_commands = any(
            action.nargs == argparse.PARSER for action in self._get_positional_actions()
        )
        if self._intermixed or has_commands:
            return super().parse_known_args(args, namespace)
        self._intermixed = True  # what reads both kinds of words comes back here for each
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False


class _FromEnvironment(str):
    """A default that a variable gave. argparse reads it as if it had been typed."""

    __slots__ = ("variable",)

    variable: str


def add_option(
    parser: argparse.ArgumentParser,
    flag: str,
    *,
    help: str,
    default: str | None = None,
    read: Reader = str,
) -> None:
    """Add an option that `CORTEX_TASKS_<FLAG>` sets too."""
    variable = _variable(flag)
    given = os.environ.get(variable)
    start = default
    if given:
        start = _FromEnvironment(given)
        start.variable = variable
    shown = f"default {default}, " if default is not None else ""
    parser.add_argument(
        flag,
        default=start,
        type=read,
        metavar=flag.lstrip("-").rsplit("-", 1)[-1].upper(),
        help=f"{help} ({shown}variable {variable})",
    )


def add_flag(
    parser: argparse.ArgumentParser, flag: str, *, help: str, default: bool = False
) -> None:
    """Add a switch that `CORTEX_TASKS_<FLAG>` sets too: off for 0, no, false and off, else on."""
    variable = _variable(flag)
    said = os.environ.get(variable, "").lower()
    given = said not in ("0", "no", "false", "off") if said else default
    parser.add_argument(
        flag,
        action=argparse.BooleanOptionalAction,
        default=given,
        help=f"{help} (variable {variable})",
    )


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], help: str
) -> argparse.ArgumentParser:
    """Add a command; `run` is called with what was read, and gives the exit code."""
    parser = commands.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add what every command that talks to a server takes."""
    add_option(parser, "--url", default=DEFAULT_URL, help="the server")
    add_option(
        parser,
        "--key-file",
        help="a file that holds the API key; without it the key is CORTEX_TASKS_API_KEY",
    )
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option of answers as JSON."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the data folder."""
    add_option(parser, "--data", default="./data", help="the data folder")


def text(given: str) -> str:
    """Read text that the server is told: it must be Unicode, as what a shell gives need not be."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise bad_value(given, "not Unicode text") from None
    return given


def one_of(*words: str) -> Reader:
    """Read one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise bad_value(text, f"not one of {', '.join(words)}")
        return text

    return read


def names(text: str) -> list[str]:
    """Read a comma list of names."""
    return [name for each in text.split(",") if (name := each.strip())]


def words_of(known: Sequence[str], aliases: dict[str, str]) -> Reader:
    """Read a comma list of known words, or of their aliases; `all` stands for every one."""

    def read(text: str) -> list[str]:
        words = known if text == "all" else [word.strip() for word in text.split(",")]
        meant = [aliases.get(word, word) for word in words]
        unknown = [word for word in meant if word not in known]
        if unknown:
            choices = ", ".join([*known, *aliases, "all"])
            raise bad_value(text, f"{unknown[0]!r} is not one of {choices}")
        return meant

    return read


def whole_number(low: int, high: int) -> Reader:
    """Read a whole number within these bounds."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise bad_value(text, f"not a whole number from {low} to {high}")
        return number

    return read


def seconds(text: str) -> float:
    """Read a duration."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise bad_value(text, "not a number of seconds")
    return number


def bad_value(text: str, reason: str) -> argparse.ArgumentTypeError:
    """Give the error for a value that makes no sense; it names the variable it came from."""
    origin = f"{text.variable}=" if isinstance(text, _FromEnvironment) else ""
    return argparse.ArgumentTypeError(f"{origin}{text}: {reason}")


def _variable(flag: str) -> str:
    return PREFIX + flag.lstrip("-").replace("-", "_").upper()
