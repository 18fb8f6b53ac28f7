"""Every link leads somewhere, and every file that is named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, Page

# Named as examples of what a reader makes.
EXAMPLES = {"sources/zenodo.py", "shared/modelset/sources/NAME.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_resolves(page: Page) -> None:
    for link in page.links:
        if re.match(r"https://[\w.-]+(/|$)", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        if anchor:
            name = target.relative_to(ROOT).as_posix()
            assert anchor in Page(name).anchors, link


def test_links_are_found() -> None:
    assert sum(len(page.links) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_project_that_is_named_is_there(page: Page) -> None:
    named = re.compile(
        r"(?:tests|scripts|shared|docs|core|sources|store|net|engine|probe)/[\w./-]*"
    )
    for span in page.spans:
        if not named.fullmatch(span) or span in EXAMPLES:
            continue
        places = [ROOT / span, ROOT / "shared" / "modelset" / span]
        found = [place for place in places if place.exists()]
        assert found, span
        if span.startswith("tests/") and found[0].is_dir():
            assert list(found[0].rglob("test_*.py")), f"{span} holds no test"


def test_the_decisions_are_all_listed() -> None:
    index = Page("docs/adr/README.md")
    decisions = {path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")}

    assert {link for link in index.links if link[0].isdigit()} == decisions
    assert len(decisions) >= 9


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")), ids=lambda p: p.stem
)
def test_a_decision_says_why_and_what_it_costs(path: Path) -> None:
    page = Page(f"docs/adr/{path.name}")

    assert page.text.startswith(f"# {path.name[:4]}. ")
    assert {"context", "decision", "consequences"} <= page.anchors
    assert re.search(r"^- Bad: ", page.text, re.MULTILINE)
    assert re.search(r"^- Good: ", page.text, re.MULTILINE)
