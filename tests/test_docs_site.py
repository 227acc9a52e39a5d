"""The documentation site: it builds without a warning, and every page is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT

DOCS = ROOT / "docs"


def test_the_site_builds_without_a_warning_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    words = ("--fail-on-warning", "--nitpicky", "--keep-going", "--quiet", "-b", "dirhtml")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    for page in DOCS.glob("*.md"):
        name = "" if page.stem == "index" else page.stem
        text = (tmp_path / name / "index.html").read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert title is not None
        assert "<h1>" in text


def test_links_from_the_readme_into_the_documents_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (ROOT / link).exists(), f"{page}: {link}"
