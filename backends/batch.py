"""One commit, made ready: its line, its large values, and what is held once it is on disk."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from ..engine.records import TaskRecord
from ..engine.storage import Change, Drop, Pause, Put
from .index import Held
from .journal_format import (
    CHECKPOINT_KEY,
    LOG_KEY,
    RESULT_KEY,
    KeptPut,
    ValueFile,
    changes_offset,
    encode_change,
    join_changes,
    make_line,
    raw,
    split_changes,
)
from .values import InlineValue, OwnFileValue, Place, SourceFile, Text, name_value_file

_SPACE = 32  # white space in JSON is this byte and some below it


class Batch:
    """A commit as line `n` of the history, to stand at `offset` of `source`.

    Making one touches no file. Raises ValueError for changes that would not be JSON on disk: what
    could not be read again must never be written.
    """

    def __init__(
        self, changes: Sequence[Change], n: int, source: SourceFile, offset: int, inline_limit: int
    ) -> None:
        self.held: list[Held | Drop | Pause] = []
        self.value_files: list[tuple[ValueFile, bytes]] = []
        self.results: list[Text] = []  # those that are in the line
        self._source = source
        self._folder = source.path.parent
        self._inline_limit = inline_limit
        self._start = offset + changes_offset(n) + 1  # of the next change, after the bracket
        joined = join_changes([self._encode(change) for change in changes])
        if len(split_changes(joined)) != len(changes):
            raise ValueError("parameters, a result, a checkpoint or a log are not one JSON text")
        self.line = make_line(n, joined)

    def _encode(self, change: Change) -> bytes:
        if isinstance(change, Drop | Pause):
            encoded = encode_change(change)
            self.held.append(change)
        else:
            encoded = self._encode_put(change)
        self._start += len(encoded) + 1
        return encoded

    def _encode_put(self, put: Put) -> bytes:
        params, params_file = self._sort_out(put.params, put, "params")
        result, result_file = self._sort_out(put.result, put, "results")
        checkpoint, checkpoint_file = b"", None
        if put.checkpoint is not None:
            if put.record.final:
                put = msgspec.structs.replace(put, checkpoint=None)
            checkpoint, checkpoint_file = self._sort_out(put.checkpoint, put, "checkpoints")
        log, log_file = self._sort_out(put.log, put, "logs")
        kept: Put | KeptPut = put
        if params_file or result_file or checkpoint_file or log_file:
            files = (params_file, result_file, checkpoint_file, log_file)
            kept = KeptPut(put.record, *files, *map(raw, (params, result, checkpoint, log)))
        encoded = encode_change(kept)
        if b"\n" in encoded:
            kept = msgspec.structs.replace(kept, record=_unbroken(put.record))
            encoded = encode_change(kept)
        values = params, result, checkpoint, log
        held = hold(kept.record, self._source, self._start, len(encoded), values)
        if isinstance(held.result, InlineValue):
            held.result.kept = Text(result)
            self.results.append(held.result.kept)
        if params_file:
            held.params = OwnFileValue(self._folder, params_file)
        if result_file:
            held.result = OwnFileValue(self._folder, result_file)
        if checkpoint_file:
            held.checkpoint = OwnFileValue(self._folder, checkpoint_file)
        if log_file:
            held.log = OwnFileValue(self._folder, log_file)
        self.held.append(held)
        return encoded

    def _sort_out(
        self, value: msgspec.Raw | None, put: Put, folder: str
    ) -> tuple[bytes, ValueFile | None]:
        """Give the text that goes into the line (empty for none), or the file that it goes to."""
        if value is None:
            return b"", None
        text = bytes(value)
        if not text:
            raise ValueError(f"the {folder} of task {put.record.id!r} are empty: not a JSON text")
        # White space at the ends or a new line would not come back from a line as they were.
        if (
            len(text) <= self._inline_limit
            and text[0] > _SPACE
            and text[-1] > _SPACE
            and b"\n" not in text
        ):
            return text, None
        file = name_value_file(folder, put.record.id, put.seq, text)
        self.value_files.append((file, text))
        return b"", file


def hold(
    record: TaskRecord,
    source: SourceFile,
    start: int,
    length: int,
    values: tuple[bytes, bytes, bytes, bytes],
) -> Held:
    """Hold a put that takes `length` bytes from `start` of `source`, with its inline values:
    parameters, result, checkpoint and log, empty where there are none.

    Written out for each of them, because an opening holds every put of the history again.
    """
    params, result, checkpoint, log = values
    held = Held(record, None, None, None, None, length)
    at = start + length - len(b"}")
    if log:
        at -= (size := len(log))
        held.log = InlineValue(Place(source, at), size, zlib.crc32(log))
        at -= LOG_KEY
    if checkpoint:
        at -= (size := len(checkpoint))
        held.checkpoint = InlineValue(Place(source, at), size, zlib.crc32(checkpoint))
        at -= CHECKPOINT_KEY
    if result:
        at -= (size := len(result))
        held.result = InlineValue(Place(source, at), size, zlib.crc32(result))
        at -= RESULT_KEY
    if params:
        at -= (size := len(params))
        held.params = InlineValue(Place(source, at), size, zlib.crc32(params))
    return held


def _unbroken(record: TaskRecord) -> TaskRecord:
    """Take the line breaks out of the parameters of the chain: white space, so the same JSON."""
    steps = tuple(
        msgspec.structs.replace(step, params=_on_one_line(step.params)) for step in record.then
    )
    return msgspec.structs.replace(record, then=steps)


def _on_one_line(value: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.format(bytes(value), indent=-1))
