"""Texts that come from outside, made fit to be looked for in the tables."""

from __future__ import annotations


def storable(text: str) -> str:
    """Give the text as a table could hold it: lone surrogates, which it cannot, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def equal_to(**columns: str | None) -> tuple[str, tuple[str, ...]]:
    """Give a WHERE clause for the columns that have a value, and the values that it takes."""
    wanted = {column: storable(value) for column, value in columns.items() if value is not None}
    if not wanted:
        return "", ()
    return " WHERE " + " AND ".join(f"{column} = ?" for column in wanted), tuple(wanted.values())
