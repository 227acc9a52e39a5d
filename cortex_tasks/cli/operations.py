"""The four jobs as commands (process, analyze, detect, summarize), and the communities found."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from ..client.library_models import Community, CommunityPage, Started
from ..client.models import TaskDetail
from .arguments import (
    Commands,
    add_command,
    add_connection,
    one_of,
    text,
    whole_number,
    words_of,
)
from .connection import Answer, Connection, connect
from .exits import Exit
from .following import all_in_one, exit_of, wait_for
from .screen import line, note, print_json, print_text

PROCESS = "/api/documents/process-pending"
ANALYZE = "/api/graph/relationships/analyze"
DETECT = "/api/graph/communities/detect"
SUMMARIZE = "/api/graph/communities/summarize"
COMMUNITIES = "/api/graph/communities"

CHAIN_STEPS = ("relationship_analysis", "community_detection", "community_summarization")
CHAIN_ALIASES = dict(zip(("analyze", "detect", "summarize"), CHAIN_STEPS, strict=True))


def add_to(commands: Commands) -> None:
    """Add the commands that start the four jobs."""
    processing = add_command(commands, "process", process, "process the pending documents")
    add_concurrency(processing)
    add_chain(processing)
    _add_end(processing)

    analysis = add_command(commands, "analyze", analyze, "find relationships across documents")
    _add_collection(analysis)
    analysis.add_argument(
        "--mode",
        type=one_of("incremental", "rebuild"),
        metavar="MODE",
        help="incremental (default) or rebuild: compute all anew",
    )
    add_chain(analysis)
    _add_end(analysis)

    detection = add_command(commands, "detect", detect, "detect communities of entities")
    detection.add_argument(
        "--min-size",
        type=whole_number(2, 20),
        metavar="N",
        help="drop communities of fewer entities (2 to 20, default 3)",
    )
    _add_collection(detection)
    _add_end(detection)

    summaries = add_command(commands, "summarize", summarize, "name and summarise communities")
    summaries.add_argument("ids", metavar="ID", nargs="*", help="a community (default: all)")
    summaries.add_argument(
        "--force", action="store_true", help="write anew those that have a summary"
    )
    _add_end(summaries)

    shown = add_command(commands, "communities", communities, "print the communities found")
    add_connection(shown)


def add_chain(parser: argparse.ArgumentParser) -> None:
    """Add the steps that follow."""
    parser.add_argument(
        "--chain",
        type=words_of(CHAIN_STEPS, CHAIN_ALIASES),
        metavar="STEPS",
        help="what follows, each step once the one before it completed: "
        "a comma list of analyze, detect, summarize, or all",
    )


def add_concurrency(parser: argparse.ArgumentParser) -> None:
    """Add how many documents are worked on at once."""
    parser.add_argument(
        "--concurrency",
        type=whole_number(1, 50),
        metavar="N",
        help="documents at a time (1 to 50, default 2)",
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add waiting for the end."""
    parser.add_argument(
        "--wait", action="store_true", help="wait for the end of it all, with progress bars"
    )


def process(arguments: argparse.Namespace) -> int:
    """Start document processing."""
    with connect(arguments) as connection:
        return start(connection, arguments, PROCESS, processing_params(arguments))


def analyze(arguments: argparse.Namespace) -> int:
    """Start relationship analysis."""
    wanted = {
        "mode": arguments.mode,
        "collection_id": arguments.collection,
        "chain": _joined(arguments.chain),
    }
    with connect(arguments) as connection:
        return start(connection, arguments, ANALYZE, wanted)


def detect(arguments: argparse.Namespace) -> int:
    """Start community detection."""
    wanted = {"min_size": arguments.min_size, "collection_id": arguments.collection}
    with connect(arguments) as connection:
        return start(connection, arguments, DETECT, wanted)


def summarize(arguments: argparse.Namespace) -> int:
    """Start community summarization."""
    wanted = {
        "community_ids": _joined(arguments.ids),
        "force_regenerate": "true" if arguments.force else None,
    }
    with connect(arguments) as connection:
        return start(connection, arguments, SUMMARIZE, wanted)


def communities(arguments: argparse.Namespace) -> int:
    """Print the communities with their summaries."""
    with connect(arguments) as connection:
        if arguments.json:
            print_json(connection.ask("GET", COMMUNITIES).body)
        else:
            print_communities(connection)
    return Exit.DONE


def print_communities(connection: Connection) -> None:
    """Print each community: its name and size, its summary, its strongest members."""
    found = connection.ask("GET", COMMUNITIES).read(CommunityPage)
    for community in found.communities:
        _print_community(community)
    note(f"{found.total} communities")


def processing_params(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says about processing."""
    return {"concurrency": arguments.concurrency, "chain": _joined(arguments.chain)}


def start(
    connection: Connection, arguments: argparse.Namespace, path: str, params: dict[str, Any]
) -> int:
    """Start an operation, print its task and, if asked to, wait for its end."""
    answers, code = carry_out(connection, path, params, wait=arguments.wait)
    if arguments.json:
        print_json(all_in_one(answers))
    else:
        print_tasks(answers)
    return code


def carry_out(
    connection: Connection, path: str, params: dict[str, Any], *, wait: bool
) -> tuple[list[Answer], Exit]:
    """Start an operation and, if asked to, wait for its end.

    Gives what the server said, of each task of the chain, and the exit code that stands for it.
    """
    answer = connection.ask("POST", path, params=params)
    started = answer.read(Started)
    note(_about(started))
    if started.task_id is None or not wait:
        return [answer], Exit.DONE
    ended = wait_for(connection, started.task_id)
    return ended, exit_of(ended)


def print_tasks(answers: list[Answer]) -> None:
    """Print a line for each task; none if there was nothing to do."""
    for answer in answers:
        if answer.read(Started).task_id is not None:
            task = answer.read(TaskDetail)
            print_text(f"{task.task_id}  {task.status}  {line(task.error or task.message)}")


def _about(started: Started) -> str:
    if started.deduplicated:
        return f"{started.message} (already under way as {started.task_id})"
    return started.message


def _print_community(community: Community) -> None:
    name = line(community.name or f"Community {community.id}")
    print_text(f"{name}  (comm_{community.id}, {community.entity_count} entities)")
    more = ", …" if community.entity_count > len(community.top_entities) else ""
    members = f"Members: {', '.join(community.top_entities)}{more}"
    for paragraph in (community.summary or "No summary yet.", members):
        print_text(
            textwrap.fill(
                line(paragraph),
                width=88,
                initial_indent="    ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
        )
    print_text("")


def _add_collection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--collection", type=text, metavar="ID", help="only this collection")


def _add_end(parser: argparse.ArgumentParser) -> None:
    add_wait(parser)
    add_connection(parser)


def _joined(words: list[str] | None) -> str | None:
    return ",".join(words) if words else None
