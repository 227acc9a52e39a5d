"""The life of a task: one table, and a page that draws it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from cortex_tasks.engine import lifecycle
from cortex_tasks.engine.lifecycle import (
    FINAL,
    TRANSITIONS,
    IllegalTransition,
    LifeEvent,
    TaskStatus,
    advance,
)

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
EVERY_PAIR = list(itertools.product(TaskStatus, LifeEvent))


@pytest.mark.parametrize(("status", "event"), EVERY_PAIR)
def test_every_status_and_event_is_in_the_table_or_refused(
    status: TaskStatus, event: LifeEvent
) -> None:
    if (status, event) in TRANSITIONS:
        assert advance(status, event) is TRANSITIONS[status, event]
    else:
        with pytest.raises(IllegalTransition, match=f"a {status} task cannot {event}"):
            advance(status, event)


def test_the_final_statuses_are_exactly_those_that_only_a_person_leads_out_of() -> None:
    assert {
        TaskStatus.COMPLETED,
        TaskStatus.FAILED,
        TaskStatus.CANCELLED,
    } == FINAL
    for status in TaskStatus:
        ways = {event for start, event in TRANSITIONS if start is status}
        assert status.final is not bool(ways - {LifeEvent.REVIVE})
        assert (LifeEvent.REVIVE in ways) is (status in (TaskStatus.FAILED, TaskStatus.CANCELLED))


def test_every_status_is_reachable_from_pending() -> None:
    reached, before = {TaskStatus.PENDING}, set[TaskStatus]()
    while reached != before:
        before = set(reached)
        reached |= {end for (start, _), end in TRANSITIONS.items() if start in before}
    assert reached == set(TaskStatus)


def test_every_event_can_happen() -> None:
    assert {event for _, event in TRANSITIONS} == set(LifeEvent)


def test_only_a_running_task_completes_and_nothing_but_pending_comes_to_run() -> None:
    into = {
        end: {start for (start, _), becomes in TRANSITIONS.items() if becomes is end}
        for end in TaskStatus
    }
    assert into[TaskStatus.COMPLETED] == {TaskStatus.RUNNING}
    assert into[TaskStatus.RUNNING] == {TaskStatus.PENDING}


def test_the_table_in_the_page_and_in_the_module_is_the_table_of_the_code() -> None:
    statuses, events = "|".join(TaskStatus), "|".join(LifeEvent)
    in_page = re.findall(
        rf"^\| ({statuses}) \| ({events}) \| ({statuses}) \|", PAGE.read_text("utf-8"), re.MULTILINE
    )
    in_module = re.findall(
        rf"^    ({statuses}) +({events}) +({statuses}) ", lifecycle.__doc__ or "", re.MULTILINE
    )
    in_code = [(str(start), str(event), str(end)) for (start, event), end in TRANSITIONS.items()]
    assert sorted(in_page) == sorted(in_code)
    assert sorted(in_module) == sorted(in_code)


def test_the_diagram_in_the_page_has_an_arrow_for_each_step_and_no_other() -> None:
    statuses, events = "|".join(TaskStatus), "|".join(LifeEvent)
    arrows = re.findall(
        rf"^ +({statuses}) --> ({statuses}): ({events})$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    steps = [(str(start), str(end), str(event)) for (start, event), end in TRANSITIONS.items()]
    assert sorted(arrows) == sorted(steps)
