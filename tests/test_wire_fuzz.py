"""A server process and thousands of strangers: what each sends is made of a seed.

CORTEX_TASKS_SEED=7 replays one of them alone, CORTEX_TASKS_SEED=0:50 some.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .attack_setting import attacked, children_of, files_of, others_are_served, wait_until
from .http_process import Server
from .torture import FULL, count
from .wire_attacks import ENDPOINTS, attack_of, sound_requests
from .wire_client import carry_out, fault_in

CONNECTIONS = 50_000 if FULL else 300  # on each loop
AT_ONCE = 8
BATCH = 40  # attacks, after which the server is looked at


def seeds() -> range:
    """All, or those that the environment names."""
    asked = os.environ.get("CORTEX_TASKS_SEED", f"0:{CONNECTIONS}")
    first, _, end = asked.partition(":")
    return range(int(first), int(end or int(first) + 1))


def fault_of(server: Server, seed: int) -> str | None:
    """Carry out one attack; say what went wrong, and how to see it again."""
    attack = attack_of(seed)
    try:
        fault = fault_in(carry_out(attack, server.address))
    except Exception as error:  # noqa: BLE001  # a refused connection is news of the server too
        fault = repr(error)
    return fault and f"CORTEX_TASKS_SEED={seed} replays it: {fault}\n{str(attack)[:5_000]}"


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_whatever_comes_in_over_the_wire_the_server_lives_and_serves_the_others(
    loop: str, tmp_path: Path
) -> None:
    with attacked(loop, tmp_path / "data") as server, ThreadPoolExecutor(AT_ONCE) as strangers:
        for request in sound_requests():
            carry_out(request, server.address)
        with others_are_served(server):
            pass
        wait_until(lambda: not children_of(server), server.log)
        before = files_of(server)
        with others_are_served(server):
            for first in seeds()[::BATCH]:
                batch = range(first, min(first + BATCH, seeds().stop))
                for fault in strangers.map(lambda seed: fault_of(server, seed), batch):
                    assert fault is None, f"{fault}\n{server.log()}"
                said = f"one of CORTEX_TASKS_SEED={batch.start}:{batch.stop}: {server.log()}"
                assert server.process.poll() is None, said
                assert server.is_well(), said
                assert not server.log(), said
        with others_are_served(server):
            pass
        wait_until(
            lambda: len(files_of(server)) <= len(before) and not children_of(server),
            lambda: f"left open: {files_of(server)}, at first {before}; {children_of(server)}",
        )
        assert server.stop() == 0, server.log()
        assert not server.log()
    count("attacks over the wire on a server process", len(seeds()))


def test_the_attack_of_a_seed_is_the_same_again_and_most_seeds_differ() -> None:
    assert [attack_of(seed) for seed in range(200)] == [attack_of(seed) for seed in range(200)]
    assert len({attack_of(seed).steps for seed in range(200)}) > 190
    assert len(sound_requests()) == len(ENDPOINTS)
