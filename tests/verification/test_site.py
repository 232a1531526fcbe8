"""The site of the documentation builds without a warning, has a page for every public name, check and verb, and fits.

Screenshots need a Chromium; where there is none, those tests are skipped.
"""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

from diagnostics.__main__ import VERBS
from diagnostics.checks.cascade import all_checks
from gpcp.imports import declared_names
from tests.source_tree import PACKAGES, REPO

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=4000"),
)
PAGES = (
    "index",
    "get_started",
    "checks/index",
    "checks/GP203",
    "commands/diagnose",
    "api/gpcp.PairBatch",
    "limitations",
)
WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site, built once for all workers of a copy of the sources, so that nothing is left in the checkout."""
    shared = tmp_path_factory.getbasetemp().parent if worker_id != "master" else tmp_path_factory.getbasetemp()
    built = shared / "site" / "html"
    with FileLock(shared / "site.lock"):
        if not built.exists():
            _build(shared / "site" / "repository", built)
    return built


def _build(repository: Path, built: Path) -> None:
    skipped = shutil.ignore_patterns("_build", "__pycache__", "api", "checks", "commands")
    shutil.copytree(REPO / "docs", repository / "docs", symlinks=True, ignore=skipped)
    shutil.copy(REPO / "CHANGELOG.md", repository)
    for name in PACKAGES:
        (repository / name).symlink_to(REPO / name)
    scratch = built.with_name("unfinished")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(repository / "docs")]
    done = subprocess.run([*command, str(scratch)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    scratch.rename(built)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.images_without_words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {str(given[name]) for name in ("id", "name") if given.get(name)}
        self.targets += [str(given[name]) for name in ("href", "src") if given.get(name)]
        if tag == "img" and not given.get("alt"):
            self.images_without_words.append(str(given.get("src")))


def read(page: Path) -> _Links:
    parser = _Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_every_link_inside_the_site_resolves(site: Path):
    found = {page: read(page) for page in site.rglob("*.html") if "_static" not in page.parts}
    broken = []
    for page, links in found.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith(("#", "data:")):
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not path.exists():
                broken.append(f"{page.relative_to(site)}: {target}")
            elif parts.fragment and path in found and unquote(parts.fragment) not in found[path].anchors:
                broken.append(f"{page.relative_to(site)}: {target} has no such anchor")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site: Path):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|<link[^>]* href)="https?://[^"]*"', text) == []


def test_every_public_name_has_a_page(site: Path):
    for package in PACKAGES:
        for name in declared_names(REPO / package / "__init__.pyi"):
            text = (site / "api" / f"{package}.{name}.html").read_text(encoding="utf-8")
            assert f"{package}.{name}" in text


def test_every_check_has_a_page_with_its_question_and_its_fix(site: Path):
    for check in all_checks():
        if check.code.startswith("GP"):
            text = (site / "checks" / f"{check.code}.html").read_text(encoding="utf-8")
            assert check.name in text
            assert "Fix" in text


def test_every_verb_has_a_page_with_its_options(site: Path):
    for verb in VERBS:
        text = (site / "commands" / f"{verb}.html").read_text(encoding="utf-8")
        assert f"gpcp {verb}" in text
        assert "--" in text


def test_tutorials_show_figures_and_no_path_of_this_machine(site: Path):
    for page in (site / "tutorials").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert page.stem == "index" or "data:image/png" in text or "_images/" in text
        assert str(REPO) not in text
        assert "Traceback" not in text


_MEASURE = (
    "<script>window.addEventListener('load',()=>{document.title='W'+document.documentElement.scrollWidth})</script>"
)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_no_wider_than_its_window(site: Path, name: str, width: int, tmp_path: Path):
    page = site / f"{name}.html"
    measured = page.with_name(f"{page.stem}.measured{width}.html")
    measured.write_text(page.read_text(encoding="utf-8").replace("</head>", f"{_MEASURE}</head>"), encoding="utf-8")
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path}", f"--window-size={width},1000", "--dump-dom"]
    done = subprocess.run([*command, measured.as_uri()], capture_output=True, text=True, check=False, timeout=120)
    measured.unlink()
    found = re.search(r"<title>W(\d+)</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    # Chromium has no window narrower than 500 pixels here: what counts is the page against the window it got.
    assert int(found[1]) <= max(width, 500)
