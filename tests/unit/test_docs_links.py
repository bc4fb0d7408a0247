"""Links between pages, pictures and files of the repository lead somewhere; pages that are made are as made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pairalign.tokenizer import load
from scripts import make_api_reference, make_figures

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_PICTURE = re.compile(r"<img[^>]*\bsrc=\"([^\"]+)\"")


def outside_of_code(path: Path) -> str:
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "`code`", text)


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
        names.add(slug if slug not in found else f"{slug}-{found[slug]}")
        found[slug] = found.get(slug, 0) + 1
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = outside_of_code(page)
    for target in _LINK.findall(text) + _PICTURE.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        assert path.is_relative_to(ROOT), f"{page.name} links to {target}, outside of the repository"
        if anchor:
            assert anchor in anchors(path), f"{page.name} links to {target}; {path.name} has no such heading"


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"({name})" not in index] == []


def test_figures_and_screenshots_are_small_and_figures_are_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in (ROOT / "docs" / "figures").iterdir():
        assert path.stat().st_size < 150_000, f"{path.name} is too large"
        assert f"figures/{path.name}" in shown, f"{path.name} is on no page"


def test_figures_are_drawn_by_the_code_and_always_alike(tmp_path):
    shipped = {path.stem for path in (ROOT / "docs" / "figures").iterdir()}
    assert shipped == set(make_figures.FIGURES)
    tokenizer = load("tiny", "cpu")
    first, again = (make_figures.make(tokenizer, tmp_path / run, ["tokens"])[0].read_bytes() for run in "ab")
    assert first == again


def test_the_api_reference_is_what_the_docstrings_say():
    written = make_api_reference.TARGET.read_text(encoding="utf-8")
    assert written == make_api_reference.reference(), "run python -m scripts.make_api_reference"


def test_the_api_reference_tells_arguments_members_and_errors():
    page = make_api_reference.reference()
    assert "pairalign.tokenizer.load(name_or_path: str | Path='base', device: str='auto') -> 'Tokenizer'" in page
    assert '- `method`: "pairalign" (generated)' in page  # listed under Args in the source
    assert "- **`tokens_per_s`** `float`: Token rate" in page
    from pairalign import __all__ as public

    assert [name for name in public if f"### {name} ★" not in page] == []


def test_messages_under_troubleshooting_are_those_of_the_code():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for folder in ("pairalign", "app") for path in sources(folder))
    code += (ROOT / "app.py").read_text(encoding="utf-8")
    others = {"Cannot find empty port in range"}  # Gradio's own words
    ours = page[page.index("## Starting the page") : page.index("## Tests")]
    messages = [
        text for row in re.findall(r"^\| (`.+?) \| ", ours, re.MULTILINE) for text in re.findall(r"`([^`]+)`", row)
    ]
    assert len(messages) > 30
    assert [text for text in messages if text not in code and text not in others] == []


def sources(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".js")]
