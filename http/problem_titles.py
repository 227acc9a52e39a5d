"""Each kind of problem by its status and title, and what it means: for the description of the API.

Problems are told apart by status and title. docs/problems.md says more of each.
"""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[tuple[int, str], str] = {
    (400, "Bad request"): "The request is not one that can be understood.",
    (400, "Body cut off"): "The connection ended before the body did.",
    (400, "Malformed JSON"): "The body is not JSON.",
    (400, "Task has ended"): "It is too late to cancel the task.",
    (400, "Task cannot be tried again"): "Only what failed or was cancelled can be.",
    (400, "Task ended without a result"): "The task failed or was cancelled.",
    (400, "Document refused"): "The document is empty, or of a kind that cannot be read.",
    (401, "API key required"): "The request carries no API key.",
    (401, "Invalid API key"): "The API key is unknown, or was revoked.",
    (403, "Asked by another site"): "A cookie counts for the page of this server alone.",
    (403, "Insufficient permissions"): "The API key may not do this.",
    (404, "Not found"): "There is no such thing, or nothing at this path.",
    (404, "Delivery not found"): "The webhook has no such delivery, or has forgotten it.",
    (404, "Unknown task type"): "This server has no such task type.",
    (404, "Task not found"): "There is no such task, or it was cleaned up.",
    (404, "Webhook not found"): "There is no such webhook.",
    (405, "Method not allowed"): "The path answers other methods only.",
    (406, "Not acceptable"): "The path gives events, and the client says that it takes none.",
    (408, "Body too slow"): "The body did not arrive in time.",
    (409, "Document exists"): "A document of this name and content is there already.",
    (409, "Result not ready"): "The task has not completed.",
    (409, "Too many webhooks"): "There are a hundred webhooks already.",
    (413, "Body too large"): "The body is larger than the limit.",
    (414, "URL too long"): "Path and query are larger than the limit.",
    (415, "Not JSON"): "The body's content type is none of JSON's.",
    (415, "Not a form"): "The upload is not `multipart/form-data`.",
    (422, "Idempotency key used for another request"): "Each thing to do needs a key of its own.",
    (422, "Invalid parameters"): "`errors` says of each parameter what is wrong.",
    (422, "Unknown task type"): "This server has no such task type.",
    (422, "Webhook refused"): "No webhook may have this URL.",
    (431, "Headers too large"): "The headers are larger than the limit.",
    (431, "Request header fields too large"): "The headers are larger than the limit.",
    (500, "Internal error"): "A bug of the server; its log says more, under the `request_id`.",
    (501, "Not implemented"): "The body comes in a transfer coding that is not read here.",
    (503, "Not available"): "The server is stopping, or its storage has failed.",
    (503, "Queue full"): "Too many tasks of this type wait; try again later.",
    (505, "HTTP version not supported"): "The server speaks HTTP/1.1.",
    (507, "Storage full"): "The server's disk is full; what was acknowledged is kept.",
}


def meanings(status: int) -> str:
    """Say all that an error with this status can mean, as a Markdown list."""
    return "\n".join(
        f"- **{title}**: {meaning}" for (of, title), meaning in TITLES.items() if of == status
    )
