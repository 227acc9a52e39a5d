"""The documentation site: `make docs` builds it of the pages beside this file."""

from importlib.metadata import version as version_of

project = "cortex-tasks"
author = "cortex-tasks contributors"
copyright = author
release = version = version_of("cortex-tasks")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["sample/jargon"]
myst_heading_anchors = 3  # so that a link to a heading is checked, too
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "cortex-tasks"
html_copy_source = False
html_show_sphinx = False

# The diagram in architecture.md is Mermaid's, for GitHub to draw; here it stands as text.
suppress_warnings = ["misc.highlighting_failure"]
