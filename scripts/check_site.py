"""Check the built documentation: ``python scripts/check_site.py site``.

Every link and picture leads to something that is there, and no page loads anything from another computer. The links
of the README and of CONTRIBUTING are looked at too, which are no pages of the site.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}


class Page(HTMLParser):
    """What a page loads, links to, and can be linked at."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if (tag, name) in LOADED:
                self.loads.append(value)
            elif name == "href":
                self.links.append(value)
            elif name == "id":
                self.anchors.add(value)


def faults_of(site: Path) -> list[str]:
    """One sentence for each link that leads nowhere and each thing that is loaded from elsewhere."""
    pages = {file.resolve(): Page(file) for file in sorted(site.rglob("*.html"))}
    faults = [] if pages else [f"{site}: no page is there; build it with make docs."]
    for file, page in pages.items():
        if file.name == "404.html":  # its links begin at the root of whatever server shows it
            continue
        name = file.relative_to(site.resolve())
        faults += [f"{name} loads {url} from elsewhere" for url in page.loads if urlsplit(url).netloc]
        for url in [*page.loads, *page.links]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                faults.append(f"{name}: {url} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                faults.append(f"{name}: {url} has no such heading")
    for sheet in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        for url in re.findall(r"(?:url\(|@import )['\"]?(https?:[^'\")]+)", text):
            faults.append(f"{sheet.relative_to(site)} loads {url} from elsewhere")
    return faults


def faults_of_text(file: Path) -> list[str]:
    """One sentence for each link of a Markdown file that leads to no file."""
    links = re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8"))
    return [
        f"{file.name}: {link} is not there"
        for link in links
        if not urlsplit(link).scheme and not (file.parent / link).exists()
    ]


def main() -> None:
    """Print what is wrong, if anything is."""
    faults = faults_of(Path(sys.argv[1]))
    for name in ("README.md", "CONTRIBUTING.md"):
        faults += faults_of_text(ROOT / name)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
