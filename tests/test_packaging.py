"""What is handed out holds what the tree holds, works without it, and asks for no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PathDistribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cortex_tasks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = ROOT / "requirements" / "dev.txt"


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and give what it printed; show all of it when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def files_of_the_tree() -> list[Path]:
    """Every file and link that is in version control, or new and not ignored."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    return [Path(name) for name in sorted(set(listed.split("\0"))) if (ROOT / name).is_file()]


def files_of_the_package() -> set[str]:
    """The files of cortex_tasks/ as an archive names them, those behind its links among them."""
    folders = {Path("cortex_tasks"): Path("cortex_tasks")}
    for link in PACKAGE.iterdir():
        if link.is_symlink():
            folders[link.resolve().relative_to(ROOT)] = link.relative_to(ROOT)
    return {
        (shown / file.relative_to(folder)).as_posix()
        for file in files_of_the_tree()
        for folder, shown in folders.items()
        if file.is_relative_to(folder)
    }


def modules_of(names: set[str]) -> set[str]:
    paths = (Path(name).with_suffix("") for name in names if name.endswith(".py"))
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the source archive of a clean copy of the tree gives."""
    clean, out = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("out")
    for file in files_of_the_tree():
        (clean / file.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, clean / file)
    for link in PACKAGE.iterdir():
        if link.is_symlink():
            (clean / "cortex_tasks" / link.name).symlink_to(link.readlink())
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=clean)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as it lies in a site-packages."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_the_wheel_built_from_the_source_archive_holds_every_file_of_the_package_and_no_other(
    unpacked: Path,
) -> None:
    held = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*") if file.is_file()}
    packaged = {name for name in held if ".dist-info/" not in name}
    assert packaged == files_of_the_package()
    assert "cortex_tasks/py.typed" in packaged


def test_the_wheel_puts_one_name_on_the_import_path(unpacked: Path) -> None:
    names = {entry.name for entry in unpacked.iterdir() if not entry.name.endswith(".dist-info")}
    assert names == {"cortex_tasks"}


def test_every_module_of_the_wheel_imports_without_the_checkout(
    unpacked: Path, tmp_path: Path
) -> None:
    modules = sorted(modules_of(files_of_the_package()) - {"cortex_tasks.__main__"})
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[2:]:\n"
        "    module = importlib.import_module(name)\n"
        "    assert all(p.startswith(sys.argv[1]) for p in getattr(module, '__path__', ())), name"
    )
    run(
        sys.executable,
        "-c",
        program,
        unpacked,
        *modules,
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
    )


def test_without_extras_it_asks_for_anyio_and_msgspec_alone(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")
    asked = [Requirement(text) for text in PathDistribution(info).requires or []]
    assert {each.name for each in asked if not each.marker} == {"anyio", "msgspec"}


def import_without(extras: set[str], modules: list[str], tmp_path: Path) -> None:
    """Import the modules in a process that lacks what only these extras bring."""
    names = {
        extra: {canonicalize_name(Requirement(text).name) for text in texts}
        for extra, texts in PROJECT["optional-dependencies"].items()
    }
    names["all"] = set()
    kept = {name for extra in names.keys() - extras for name in names[extra]}
    lacking = {name for extra in extras for name in names[extra]} - kept
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if lacking & {canonicalize_name(name) for name in distributions}
    ]
    assert len(absent) >= len(lacking) > 0, f"not all of {lacking} are installed here"
    program = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        "for name in sys.argv[1:]: importlib.import_module(name)"
    )
    run(sys.executable, "-c", program, *modules, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})


def test_the_face_the_engine_the_backends_and_the_command_line_import_without_any_extra(
    tmp_path: Path,
) -> None:
    wanted = [
        name
        for name in sorted(modules_of(files_of_the_package()))
        if name.startswith(("cortex_tasks.engine", "cortex_tasks.backends"))
    ]
    everything = set(PROJECT["optional-dependencies"])
    import_without(everything, ["cortex_tasks", "cortex_tasks.cli.commands", *wanted], tmp_path)


def test_an_application_with_keys_and_webhooks_needs_no_more_than_the_extra_server(
    tmp_path: Path,
) -> None:
    others = set(PROJECT["optional-dependencies"]) - {"server"}
    wanted = ["app", "keys", "serving", "stopping", "webhooks.dispatch", "webhooks.posting"]
    import_without(others, [f"cortex_tasks.http.{name}" for name in wanted], tmp_path)


@pytest.mark.parametrize(
    ("absent", "who", "extra"),
    [
        ("starlette", "The HTTP layer", "server"),
        ("snowballstemmer", "A server with the four jobs", "jobs"),
    ],
)
def test_what_a_server_lacks_is_named_with_the_extra_that_brings_it(
    absent: str, who: str, extra: str
) -> None:
    program = f"import sys\nsys.modules['{absent}'] = None\nimport cortex_tasks.http.server"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    said = ended.stderr.splitlines()[-1]
    assert said.startswith(f"ModuleNotFoundError: {who} needs {absent}")
    assert said.endswith(f"pip install 'cortex-tasks[{extra}]'")


def test_the_standard_librarys_http_is_found_from_the_root_of_the_checkout() -> None:
    program = "import http.client, os; print(os.path.dirname(http.__file__))"
    found = Path(run(sys.executable, "-c", program, cwd=ROOT).strip())
    assert not found.is_relative_to(ROOT / "http")
    assert not (ROOT / "http" / "__init__.py").exists()


def test_no_folder_of_the_package_but_http_is_without_its_init_file() -> None:
    files = files_of_the_package()
    folders = {Path(name).parent for name in files if name.endswith(".py")}
    bare = {folder.as_posix() for folder in folders if f"{folder}/__init__.py" not in files}
    assert {name for name in bare if not name.startswith("cortex_tasks/http")} == set()


def test_no_file_names_the_address_of_a_package_registry() -> None:
    hosts = [b"pypi" + b".org", b"pythonhosted" + b".org", b"npmjs" + b".", b"conda" + b".anaconda"]
    naming = [
        str(file)
        for file in files_of_the_tree()
        if any(host in (ROOT / file).read_bytes() for host in hosts)
    ]
    assert naming == []


def test_every_pinned_requirement_carries_its_hashes() -> None:
    joined = LOCK.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    loose = [
        line for line in lines if not re.fullmatch(r"\S+==\S+( +--hash=sha256:\w{64})+ *", line)
    ]
    assert len(lines) > 0
    assert loose == []


def test_the_pins_satisfy_all_that_the_project_asks_for() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    tools = re.findall(r"^[\w.-][^#\n]*", (LOCK.with_suffix(".in")).read_text(), re.MULTILINE)
    asked = [Requirement(text) for text in [*PROJECT["dependencies"], *extras, *tools]]
    unmet = [
        str(each)
        for each in asked
        if each.name != PROJECT["name"]
        and pins.get(canonicalize_name(each.name), "") not in each.specifier
    ]
    assert unmet == []


def test_the_help_of_make_names_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"help", "serve", "test", "check", "bench", "demo", "clean"} <= set(phony.split())
    named = re.findall(
        r"^make (\S+) +\S", run("make", "--no-print-directory", cwd=ROOT), re.MULTILINE
    )
    assert sorted(named) == sorted(phony.split())
