"""`python -m benchmarks`: everything, on trio and on asyncio, with ratios."""

from __future__ import annotations

import sys

import anyio

from . import engine_speed, request_speed
from .measuring import Figure, machine


async def _print_all(loop: str, missed: list[Figure]) -> None:
    for part in (engine_speed, request_speed):
        async for figure in part.measure(loop):
            print(figure.line(), flush=True)
            if figure.met is False:
                missed.append(figure)


def main() -> int:
    """Print every figure; the exit code says whether every aim was met."""
    print(machine())
    missed: list[Figure] = []
    for loop in ("trio", "asyncio"):
        print(f"\n{loop}")
        anyio.run(_print_all, loop, missed, backend=loop)
    print(f"\n{len(missed)} aims missed" if missed else "\nevery aim met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
