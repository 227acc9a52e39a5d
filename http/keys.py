"""API keys: made here, shown once, kept as hashes only.

A key holds 256 random bits, so a plain SHA-256 of it cannot be turned back or guessed at any
speed; slow hashes are for what people choose. The file is replaced whole and synced, and read anew
whenever it has changed: what `cortex-tasks keys` does beside a running server counts at once.
"""

from __future__ import annotations

import enum
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..engine.errors import CallerError, StorageCorrupt, StorageError
from ..jobs.library.lock_files import lock_beside, problem_of_lock

KEY_FILE = "keys.json"  # in a data folder

FIRST_KEY = "admin"  # its name
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_FORMAT = 1


class Permission(enum.StrEnum):
    """What a key allows. MANAGE includes READ."""

    READ = "read"
    MANAGE = "manage"


class KeyNameTaken(CallerError):
    """A key of this name exists."""


class KeyNotFound(CallerError):
    """No key has this name or id."""


class UnknownPermission(CallerError):
    """A permission is none of those that there are."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key: never the key."""

    id: str
    name: str
    permissions: tuple[Permission, ...]
    created_at: datetime
    shown: str  # its prefix and last four characters, to tell keys apart
    sha256: str

    def allows(self, wanted: Permission) -> bool:
        """Whether a holder of this key may do that."""
        return wanted in self.permissions or Permission.MANAGE in self.permissions


class _File(msgspec.Struct, frozen=True):
    version: int
    keys: tuple[ApiKey, ...] = ()


class KeyStore:
    """The keys in one file (made when the first key is), and perhaps one that is in no file.

    admin_key: a key that is accepted besides, allows everything, and is never stored.
    All calls block for a moment; those that change the file exclude each other over processes.
    They raise StorageError when it cannot be read or written, StorageCorrupt when it is not ours.
    """

    def __init__(self, path: str | os.PathLike[str], *, admin_key: str | None = None) -> None:
        self._path = Path(path)
        self._admin = None if not admin_key else _admin(admin_key)
        self._seen: tuple[int, int, int] | None = None  # what the file was when it was last read
        self._keys: tuple[ApiKey, ...] = ()

    @classmethod
    def in_folder(cls, data: str | os.PathLike[str], *, admin_key: str | None = None) -> KeyStore:
        """Give the keys of a data folder: the server's, and those that the command line makes."""
        return cls(Path(data) / KEY_FILE, admin_key=admin_key)

    def check(self, presented: str | bytes) -> ApiKey | None:
        """Give the key that this is; None for one that is not known, or no longer."""
        self._refresh()
        digest = _sha256(presented)
        found = None
        # Every key is compared, in constant time each: how long it takes tells nothing.
        for key in (*self._keys, self._admin):
            if key is not None and hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def version(self) -> object:
        """Give something that is another one once a key was made or revoked, by whomever."""
        self._refresh()
        return self._seen

    def create(
        self, name: str, permissions: Iterable[str] = (Permission.READ, Permission.MANAGE)
    ) -> str:
        """Make a key and give it; it cannot be had again. On disk when this returns.

        Raises KeyNameTaken, UnknownPermission, and CallerError for a name that cannot be shown.
        """
        wanted = _permissions(permissions)
        return self._create(name, wanted, "rw" if Permission.MANAGE in wanted else "ro")

    def create_first(self) -> str | None:
        """Make an admin key if there is no way in yet, and give it; None if there is one."""
        with self._changing() as keys:
            if keys or self._admin is not None:
                return None
            secret, key = _new_key(FIRST_KEY, tuple(Permission), "admin")
            self._write((key,))
        return secret

    def list(self) -> tuple[ApiKey, ...]:
        """Give what is kept of each key, the oldest first."""
        self._refresh()
        return self._keys

    def revoke(self, name_or_id: str) -> ApiKey:
        """Forget a key; it is refused from now on. Raises KeyNotFound."""
        with self._changing() as keys:
            for key in keys:
                if name_or_id in (key.id, key.name):
                    self._write(tuple(other for other in keys if other is not key))
                    return key
        raise KeyNotFound(f"No key has the name or id {name_or_id!r}; `keys list` shows all.")

    def _create(self, name: str, permissions: tuple[Permission, ...], kind: str) -> str:
        if not _NAME.fullmatch(name):
            raise CallerError("A key's name is 1 to 100 characters that can be shown.")
        with self._changing() as keys:
            if any(name in (key.name, key.id) for key in keys):
                raise KeyNameTaken(
                    f"A key named {name!r} exists. Revoke it, or choose another name."
                )
            secret, key = _new_key(name, permissions, kind)
            self._write((*keys, key))
        return secret

    def _refresh(self) -> None:
        """Read the file if it is not the one that was read last."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._keys = _decode(self._path, self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            self._keys, self._seen = (), None
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read: {error.strerror}") from None

    @contextmanager
    def _changing(self) -> Iterator[tuple[ApiKey, ...]]:
        """Hold the keys still, as they are in the file now."""
        path = lock_beside(self._path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if problem := problem_of_lock(path):
                raise StorageError(problem)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"{self._path.parent} is not a folder to write to: {error.strerror}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._seen = None
            self._refresh()
            yield self._keys
        finally:
            os.close(lock)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        """Replace the file by one that is whole and on disk; a crash leaves the old or the new."""
        content = msgspec.json.format(msgspec.json.encode(_File(_FORMAT, keys)))
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.unlink(missing_ok=True)  # left by a crash
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}") from None


def _new_key(name: str, permissions: tuple[Permission, ...], kind: str) -> tuple[str, ApiKey]:
    secret = f"cortex_{kind}_{secrets.token_urlsafe(32)}"
    return secret, ApiKey(
        id=f"key_{secrets.token_hex(4)}",
        name=name,
        permissions=permissions,
        created_at=datetime.now(UTC),
        shown=f"cortex_{kind}_…{secret[-4:]}",
        sha256=_sha256(secret),
    )


def _admin(secret: str) -> ApiKey:
    return ApiKey(
        id="ADMIN_API_KEY",
        name="ADMIN_API_KEY",
        permissions=tuple(Permission),
        created_at=datetime.now(UTC),
        shown="from the environment",
        sha256=_sha256(secret),
    )


def _permissions(wanted: Iterable[str]) -> tuple[Permission, ...]:
    asked = {word.strip() for word in wanted}
    if not asked or not asked <= {*Permission}:
        known = ", ".join(Permission)
        raise UnknownPermission(f"Permissions are one or more of: {known}; not {sorted(asked)!r}.")
    if Permission.MANAGE in asked:
        asked.add(Permission.READ)
    return tuple(permission for permission in Permission if permission in asked)


def _decode(path: Path, content: bytes) -> tuple[ApiKey, ...]:
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError as error:
        raise StorageCorrupt(
            f"{path} is not a file of API keys ({error}). Restore it from a copy, or delete it "
            "and make new keys with `cortex-tasks keys create`."
        ) from None
    if file.version != _FORMAT:
        raise StorageCorrupt(
            f"{path} is of format {file.version}; this version reads format {_FORMAT}."
        )
    return file.keys


def _sha256(secret: str | bytes) -> str:
    encoded = secret.encode(errors="surrogatepass") if isinstance(secret, str) else secret
    return hashlib.sha256(encoded).hexdigest()
