"""How the documentation is built: ``python -m sphinx -W -b html docs docs/_build/html``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

os.environ.pop("MPLBACKEND", None)  # notebooks choose their own, which puts figures on the page

import gpcp  # noqa: E402  # found by the line above in a checkout that is not installed

project = "gpcp"
author = "the authors of gpcp"
copyright = "2026, the authors of gpcp"
release = version = gpcp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "pages_of_code",
]
# The page of checks as one file is for readers of the repository; the site has a page for each.
exclude_patterns = ["_build", "_extra", "checks.md", "extensions", "**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
# Attributes of the same name in several classes, which docstrings name without their class.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "smartquotes"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "jupyter")
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"gpcp {release}"
html_static_path = ["_static"]
html_extra_path = ["_extra", "report.schema.json"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
}
