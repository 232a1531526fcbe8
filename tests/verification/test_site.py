"""The site of the documentation builds without a warning, has a page for every public name, check and verb, and fits.

Screenshots need a Chromium; where there is none, those tests are skipped.
"""

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

from diagnostics.__main__ import VERBS, main
from diagnostics.checks.cascade import all_checks
from gpcp.imports import declared_names
from tests.source_tree import PACKAGES, REPO

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files"),
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
SCHEMES = {"dark": 0, "light": 1}
"""Of the colours that a page is asked for, as Chromium numbers them."""

LEAST_CONTRAST = 4.5
"""Of letters with what is behind them (Web Content Accessibility Guidelines 2.2, level AA)."""

CONTRASTS = """
const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = rgb => {
  const [r, g, b] = rgb.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = node => {
  for (; node; node = node.parentElement) {
    const rgb = parts(getComputedStyle(node).backgroundColor);
    if (rgb.length === 3 || rgb[3] > 0) return rgb;
  }
  return [255, 255, 255];
};
const found = {};
const letters = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
while (letters.nextNode()) {
  const node = letters.currentNode.parentElement, text = letters.currentNode.textContent.trim();
  if (!text || ["SCRIPT", "STYLE", "style", "metadata"].includes(node.tagName)) continue;
  const style = getComputedStyle(node), ink = parts(node.closest("svg") ? style.fill : style.color);
  const [low, high] = [light(ink), light(behind(node))].sort((a, b) => a - b);
  found[text.slice(0, 40)] = (high + .05) / (low + .05);
}
document.title = "C" + JSON.stringify(Object.entries(found));
"""


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


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_no_page_is_wider_than_its_window(site: Path, tmp_path: Path):
    assert too_wide([site / f"{name}.html" for name in PAGES], tmp_path) == []


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_no_report_is_wider_than_its_window_or_faint_in_the_light_or_in_the_dark(tmp_path: Path):
    verdict, recovered = tmp_path / "verdict.html", tmp_path / "recovered"
    main(["diagnose", "--source", "synthetic:scale_free/6", "--model", "seed", "--quiet", "--html", str(verdict)])
    small = ["--world", "scale_free/6", "--regime", "matched", "--steps", "30", "--seeds", "1", "--workers", "1"]
    main(["recover-graph", *small, "--quiet", "--out", str(recovered)])
    steps = tmp_path / "ladder"
    main(["ladder", "--source", "synthetic:scale_free/6", "--rungs", "exact", "--quiet", "--out", str(steps)])
    pages = [verdict, recovered / "report.html", steps / "report.html"]
    assert too_wide(pages, tmp_path) == []
    for page in pages:
        for scheme in SCHEMES:
            assert faint(page, tmp_path, scheme) == []


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_a_page_that_is_too_wide_is_found(tmp_path: Path):
    page = tmp_path / "wide.html"
    page.write_text("<div style='width:700px'>x</div>", encoding="utf-8")
    assert [line.split(" pixels")[1] for line in too_wide([page], tmp_path)] == [" wide at 400"]


def too_wide(pages: list[Path], folder: Path) -> list[str]:
    """Pages that are wider than a frame of :data:`WIDTHS` pixels; Chromium's own window is never narrower than 500."""
    frames = "".join(
        f'<iframe src="{page.as_uri()}" style="width:{width}px;height:900px;border:0"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    width_of = "[...document.querySelectorAll('iframe')].map(f=>f.contentDocument.documentElement.scrollWidth)"
    script = f"<script>window.addEventListener('load',()=>{{document.title='W'+{width_of}.join(' ')}})</script>"
    frame = folder / "frame.html"
    frame.write_text(f"<html><head>{script}</head><body>{frames}</body></html>", encoding="utf-8")
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--dump-dom"]
    done = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"<title>W([\d ]+)</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    asked = [(page, width) for page in pages for width in WIDTHS]
    widths = map(int, found[1].split())
    return [
        f"{page.name} is {is_wide} pixels wide at {width}"
        for (page, width), is_wide in zip(asked, widths, strict=True)
        if is_wide > width
    ]


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_faint_letters_are_found(tmp_path: Path):
    page = tmp_path / "faint.html"
    style = (
        ":root{color-scheme:light dark}body{background:#fff}@media(prefers-color-scheme:dark){body{background:#111}}"
    )
    page.write_text(f"<style>{style}</style><main><p style='color:#333'>written</p></main></body>", encoding="utf-8")
    assert faint(page, tmp_path, "light") == []
    assert [line.partition(":")[0] for line in faint(page, tmp_path, "dark")] == ["written"]


def faint(page: Path, folder: Path, scheme: str) -> list[str]:
    """Letters of a page that hardly differ from what is behind them, in the light or in the dark."""
    copy = folder / "contrast.html"
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{CONTRASTS}</script></body>")
    copy.write_text(text, encoding="utf-8")
    asked = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    command = [str(BROWSER), *FLAGS, asked, f"--user-data-dir={folder / 'profile'}", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"<title>C(\[.*?\])</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    contrasts: list[tuple[str, float]] = json.loads(unescape(found[1]))
    assert contrasts
    return [f"{words}: {contrast:.1f} : 1" for words, contrast in contrasts if contrast < LEAST_CONTRAST]
