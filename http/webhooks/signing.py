"""Secrets and signatures: how a receiver can tell that it was we who told it, and when.

The header `X-Cortex-Signature: t=1773570600,v1=5257a8…` has the time of the attempt in seconds
since 1970 and, in hexadecimal, HMAC-SHA256 of `{t}.{body}` with the hook's secret.

A hook's secret is worked out from its id and one master secret, so that no list of hooks, and no
copy of the outbox, holds a secret. The master is 32 random bytes in a file for its owner alone,
beside the outbox, or what an environment variable holds: then it is in no file.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from hashlib import sha256
from pathlib import Path

from ...engine.errors import StorageError

HEADER = "X-Cortex-Signature"
VARIABLE = "CORTEX_TASKS_WEBHOOK_SECRET"
MASTER_FILE = "webhooks.secret"
TOLERANCE = 300  # seconds that a signature may be old

_MASTER_BYTES = 32
_MARKED = b"the master secret of the webhooks"  # no hook has this id
_GIVEN = "given"
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)


class Secrets:
    """Knows the secret of every hook. `path`: the file that the master secret is in, `made`: just
    now.
    """

    def __init__(self, master: bytes, *, path: Path | None = None, made: bool = False) -> None:
        self._master = master
        self.path = path
        self.made = made

    def __repr__(self) -> str:
        return "<Secrets>"

    @classmethod
    def in_folder(cls, folder: Path) -> Secrets:
        """Take the master secret from the environment, or from the folder, where it is made when
        it is missing. Raises StorageError.
        """
        given = os.environ.get(VARIABLE, "").strip()
        if given:
            return cls(given.encode())
        path = folder / MASTER_FILE
        try:
            made = _make(path)
            master = path.read_bytes()
        except OSError as error:
            raise StorageError(
                f"The secret of the webhooks cannot be kept in {path}: {error.strerror}. "
                f"Let this user write there, or give one in {VARIABLE}."
            ) from None
        problem = problem_of_master(path, master)
        if problem is not None:
            raise StorageError(problem)
        return cls(master, path=path, made=made)

    @property
    def mark(self) -> str:
        """Tells whether it is the same master secret another time, and does not tell the secret."""
        kind = _GIVEN if self.path is None else "file"
        return f"{kind} {hmac.digest(self._master, _MARKED, sha256).hex()}"

    def is_mark_of_same(self, mark: str) -> bool:
        """Whether the mark is of this master secret, wherever that was then."""
        return mark.split()[-1:] == self.mark.split()[-1:]

    @staticmethod
    def is_mark_of_given(mark: str) -> bool:
        """Whether the mark is of a master secret that was in no file."""
        return mark.startswith(_GIVEN)

    def of(self, hook_id: str) -> str:
        """Give the secret of a hook."""
        return "whsec_" + hmac.digest(self._master, hook_id.encode(), sha256).hex()


def problem_of_master(path: Path, master: bytes) -> str | None:
    """Say what is wrong with what the file of the master secret holds, and what to do; or None."""
    if len(master) >= _MASTER_BYTES:
        return None
    return (
        f"{path} is too short for a secret. Remove it: the next start makes another, and with it "
        "other secrets for all hooks."
    )


def sign(secret: str, body: bytes, at: int) -> str:
    """Give the header's value for a body that is sent at this time, in seconds since 1970."""
    return f"t={at},v1={_digest(secret, body, at)}"


def verify(
    secret: str, body: bytes, signature: str, *, now: float, tolerance: float = TOLERANCE
) -> bool:
    """Whether the signature is of this body and secret, and not older than `tolerance` seconds.

    For receivers. `body` must be the bytes as they came, `now` the time in seconds since 1970.
    """
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        return False
    at = int(found[1])
    genuine = hmac.compare_digest(found[2], _digest(secret, body, at))
    return genuine and abs(now - at) <= tolerance


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.digest(secret.encode(), b"%d.%b" % (at, body), sha256).hex()


def _make(path: Path) -> bool:
    """Make the file unless it is there: whole, synced, and never readable by others. Gives whether
    it did.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_MASTER_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
