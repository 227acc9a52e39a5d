"""`python -m benchmarks`: everything, or the parts named, on trio and on asyncio, with ratios."""

from __future__ import annotations

import sys

import anyio

from . import browser_speed, engine_speed, following_speed, opening_speed, page_speed, request_speed
from .measuring import Figure, machine

PARTS = {
    "engine": engine_speed.measure,
    "requests": request_speed.measure,
    "opening": opening_speed.measure,
    "pages": page_speed.measure,
    "following": following_speed.measure,
    "browser": browser_speed.measure,
}


async def _print_all(loop: str, parts: list[str], missed: list[Figure]) -> None:
    for part in parts:
        async for figure in PARTS[part](loop):
            print(figure.line(), flush=True)
            if figure.met is False:
                missed.append(figure)


def main(parts: list[str]) -> int:
    """Print every figure of the parts (none named: all); the exit code says whether every aim was
    met.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        print(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    print(machine())
    missed: list[Figure] = []
    for loop in ("trio", "asyncio"):
        print(f"\n{loop}")
        anyio.run(_print_all, loop, parts or list(PARTS), missed, backend=loop)
    print(f"\n{len(missed)} aims missed" if missed else "\nevery aim met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
