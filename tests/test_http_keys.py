"""API keys: shown once, kept as hashes, in a file that is whole at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from cortex_tasks.engine.errors import CallerError, StorageCorrupt, StorageError
from cortex_tasks.http.keys import (
    KeyNameTaken,
    KeyNotFound,
    KeyStore,
    Permission,
    UnknownPermission,
)

READ, MANAGE = Permission.READ, Permission.MANAGE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


@pytest.fixture
def keys(path: Path) -> KeyStore:
    return KeyStore(path)


@pytest.mark.parametrize(
    ("permissions", "prefix", "allowed"),
    [
        (["read"], "cortex_ro_", (READ,)),
        (["manage"], "cortex_rw_", (READ, MANAGE)),
        (["read", "manage"], "cortex_rw_", (READ, MANAGE)),
        ([" read "], "cortex_ro_", (READ,)),
    ],
)
def test_a_key_says_by_its_prefix_what_it_allows(
    keys: KeyStore, permissions: list[str], prefix: str, allowed: tuple[Permission, ...]
) -> None:
    secret = keys.create("me", permissions)
    assert re.fullmatch(prefix + r"[A-Za-z0-9_-]{43}", secret)
    key = keys.check(secret)
    assert key is not None
    assert key.permissions == allowed
    assert [permission for permission in Permission if key.allows(permission)] == list(allowed)


def test_what_is_on_disk_opens_nothing(keys: KeyStore, path: Path) -> None:
    secret = keys.create("me")
    content = path.read_text()
    assert secret not in content
    assert secret.removeprefix("cortex_rw_") not in content
    assert hashlib.sha256(secret.encode()).hexdigest() in content
    for word in re.findall(r'"([^"]+)"', content):
        assert keys.check(word) is None
    (kept,) = keys.list()
    assert secret not in repr(kept)


def test_the_file_and_its_lock_are_for_their_owner_alone(keys: KeyStore, path: Path) -> None:
    before = os.umask(0)
    try:
        keys.create("me")
    finally:
        os.umask(before)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_very_key_is_accepted(keys: KeyStore) -> None:
    secret = keys.create("me")
    wrong = ["", secret[:-1], secret + "x", secret.upper(), f" {secret}", "\ud800", "é"]
    assert all(keys.check(each) is None for each in wrong)
    assert keys.check(b"\xff") is None
    assert keys.check(secret) == keys.check(secret.encode()) == keys.list()[0]


def test_a_revoked_key_is_refused_by_every_store_at_once(keys: KeyStore, path: Path) -> None:
    elsewhere = KeyStore(path)
    secret, other = keys.create("me"), keys.create("you")
    assert elsewhere.check(secret) is not None
    assert keys.revoke("me").name == "me"
    assert elsewhere.check(secret) is None
    assert elsewhere.check(other) is not None
    (left,) = elsewhere.list()
    assert elsewhere.revoke(left.id) == left
    assert keys.list() == ()


def test_a_key_that_is_not_there_cannot_be_revoked(keys: KeyStore) -> None:
    with pytest.raises(KeyNotFound, match="nobody"):
        keys.revoke("nobody")


def test_names_are_given_once(keys: KeyStore) -> None:
    keys.create("me")
    with pytest.raises(KeyNameTaken, match="'me'"):
        keys.create("me")
    assert len(keys.list()) == 1


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 101])
def test_a_name_can_be_shown(keys: KeyStore, name: str) -> None:
    with pytest.raises(CallerError):
        keys.create(name)


@pytest.mark.parametrize("permissions", [[], ["write"], ["read", "admin"], [""]])
def test_an_unknown_permission_is_refused(keys: KeyStore, permissions: list[str]) -> None:
    with pytest.raises(UnknownPermission, match="read, manage"):
        keys.create("me", permissions)
    assert keys.list() == ()


def test_the_first_key_is_made_once(path: Path) -> None:
    secret = KeyStore(path).create_first()
    assert secret is not None
    assert secret.startswith("cortex_admin_")
    key = KeyStore(path).check(secret)
    assert key is not None
    assert key.allows(MANAGE)
    assert KeyStore(path).create_first() is None


def test_no_first_key_is_made_where_there_is_another_way_in(path: Path) -> None:
    assert KeyStore(path, admin_key="from-the-environment").create_first() is None
    KeyStore(path).create("reader", ["read"])
    assert KeyStore(path).create_first() is None


def test_the_admin_key_is_accepted_and_never_stored(path: Path) -> None:
    keys = KeyStore(path, admin_key="from-the-environment")
    key = keys.check("from-the-environment")
    assert key is not None
    assert key.allows(MANAGE)
    keys.create("me")
    assert [each.name for each in keys.list()] == ["me"]
    assert KeyStore(path).check("from-the-environment") is None
    digest = hashlib.sha256(b"from-the-environment").hexdigest()
    assert digest not in path.read_text()
    assert KeyStore(path, admin_key="").check("") is None


def test_without_a_file_no_key_is_good(keys: KeyStore, path: Path) -> None:
    secret = keys.create("me")
    path.unlink()
    assert keys.check(secret) is None
    assert keys.list() == ()


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"version": 1, "keys": [{}]}'])
def test_a_file_that_is_not_ours_is_named_and_lets_nobody_in(
    keys: KeyStore, path: Path, content: str
) -> None:
    secret = keys.create("me")
    path.write_text(content)
    with pytest.raises(StorageCorrupt, match=re.escape(str(path))):
        keys.check(secret)
    with pytest.raises(StorageCorrupt):
        keys.create("you")
    assert path.read_text() == content


def test_a_file_of_a_later_format_is_left_alone(keys: KeyStore, path: Path) -> None:
    keys.create("me")
    path.write_text(json.dumps({"version": 2, "keys": []}))
    with pytest.raises(StorageCorrupt, match="format 2"):
        keys.list()


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    def make(number: int) -> None:
        KeyStore(path).create(f"key {number}")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in KeyStore(path).list()} == {f"key {number}" for number in range(8)}


def test_what_a_crash_left_half_written_is_no_obstacle(keys: KeyStore, path: Path) -> None:
    secret = keys.create("me")
    path.with_name("keys.json.new").write_text('{"version": 1, "ke')
    keys.create("you")
    assert keys.check(secret) is not None
    assert len(keys.list()) == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        KeyStore(tmp_path / "file" / "keys.json").create("me")
