"""Pages as a browser would read them, for tests of reports."""

from collections import Counter
from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})


class Page(HTMLParser):
    """Elements, ids, text, what is left open, and what would be fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.n_of: Counter[str] = Counter()
        self.ids: list[str] = []
        self.external: list[str] = []
        self.unclosed: list[str] = []
        self.text = ""
        self._open: list[str] = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.n_of[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href") and not (value or "").startswith(("#", "data:")):
                self.external.append(value or "")
            if "://" in (value or "") and name != "data-key":
                self.external.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("style", "script"):
            self.text += data
        elif "://" in data or "@import" in data:
            self.external.append(data)


def parsed(text: str) -> Page:
    """The page; what is still open at its end is in ``unclosed``."""
    page = Page()
    page.feed(text)
    page.close()
    page.unclosed += page._open  # pyright: ignore[reportPrivateUsage]
    return page
