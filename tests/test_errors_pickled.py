"""Errors come whole out of another process, as from a pool of them, and as copies."""

from __future__ import annotations

import copy
import pickle

import pytest

from cortex_tasks.client import errors as of_the_client
from cortex_tasks.client.models import TaskDetail
from cortex_tasks.engine import errors as of_the_engine
from cortex_tasks.engine.children import ChildFailed

PROBLEM = of_the_client.ProblemDocument(
    "It is gone.",
    title="Task not found",
    status="failed",
    errors=(of_the_client.FieldError(("body", "params"), "Expected `int`"),),
    task_id="task_1",
    error="OSError: no",
)
TASK = TaskDetail(task_id="task_1", task_type="work", status="running")
MADE: list[Exception] = [
    of_the_engine.UnknownTaskType("a", ["b", "c"]),
    of_the_engine.InvalidParameters("they do not fit", path="$.text"),
    of_the_engine.NotJson("no JSON", "$.text"),
    of_the_engine.TaskNotFound("task_1"),
    of_the_engine.TaskAlreadyFinal("task_1", "failed"),
    of_the_engine.TaskNotRevivable("task_1", "it is running"),
    of_the_engine.ResultNotReady("task_1", "pending"),
    of_the_engine.IdempotencyConflict("task_1"),
    of_the_engine.QueueFull("work", 7),
    of_the_engine.EventsMissed(3, 9),
    of_the_engine.TaskFailed("task_1", "OSError: no"),
    of_the_engine.TaskCancelled("task_1", "Cancelled"),
    of_the_engine.StorageFull("no room"),
    ChildFailed("OSError", "no", "Traceback"),
    of_the_client.UnusableSetting("no key"),
    of_the_client.NoAnswerInTime("nothing came"),
    of_the_client.WaitTimedOut(TASK),
    of_the_client.TaskHasNoResult(400, PROBLEM, request_id="req_1"),
    *(
        of_the_client.refusal(status, PROBLEM, request_id="req_1", retry_after=2.0)
        for status in (401, 403, 404, 409, 422, 503)
    ),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_that_was_pickled_or_copied_says_what_it_said(error: Exception) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert (str(again), again.args) == (str(error), error.args)
        assert vars(again) == vars(error)
