"""`cortex-tasks keys`: made once, shown once, revoked for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cortex_tasks.cli import main
from cortex_tasks.http.keys import KeyStore


def test_a_new_key_stands_alone_on_standard_output_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--name", "me", "--permissions", "read", "--data", str(tmp_path)]
    assert main(["keys", "create", *words]) == 0
    out, err = capsys.readouterr()
    key = out.strip()
    assert out == f"{key}\n"
    assert key.startswith("cortex_ro_")
    assert key not in err
    found = KeyStore.in_folder(tmp_path).check(key)
    assert found is not None
    assert (found.name, found.permissions) == ("me", ("read",))
    assert all(key not in file.read_text() for file in tmp_path.iterdir())


def test_keys_are_listed_without_their_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path)]
    assert main(["keys", "list", *data]) == 0
    assert capsys.readouterr().out == ""
    main(["keys", "create", "--name", "one", *data])
    key = capsys.readouterr().out.strip()

    assert main(["keys", "list", *data]) == 0
    out = capsys.readouterr().out
    assert "one" in out
    assert "read,manage" in out
    assert key not in out

    assert main(["keys", "list", "--json", *data]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["permissions"]) == ("one", ["read", "manage"])
    assert "sha256" not in shown


def test_a_revoked_key_opens_nothing_and_an_unknown_one_is_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path)]
    main(["keys", "create", "--name", "one", *data])
    key = capsys.readouterr().out.strip()
    assert main(["keys", "revoke", "one", *data]) == 0
    assert KeyStore.in_folder(tmp_path).check(key) is None
    assert main(["keys", "revoke", "one", *data]) == 4
    assert "No key has the name or id 'one'" in capsys.readouterr().err


def test_a_name_that_is_taken_and_a_folder_that_is_none_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["keys", "create", "--name", "one", "--data", str(tmp_path)])
    assert main(["keys", "create", "--name", "one", "--data", str(tmp_path)]) == 1
    assert "'one' exists" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["keys", "create", "--name", "two", "--data", str(tmp_path / "file")]) == 1
    assert "not a folder to write to" in capsys.readouterr().err
