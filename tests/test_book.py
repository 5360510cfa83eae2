"""The web book: built offline without a warning, whole, linked, and fit to be read anywhere."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

import svae_helpers

from .chromium import Watch

for needed in ("sphinx", "myst_nb", "furo"):
    pytest.importorskip(needed)

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "notebooks" / "book"
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4).cells
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
}
INHERITED = os.environ.get("PYTHONPATH")  # with it goes the guard against a network
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [INHERITED, str(ROOT)]))}


class Page(HTMLParser):
    """The attributes of every tag of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.ids = {attributes["id"] for _, attributes in self.tags if "id" in attributes}

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def all(self, tag: str, **wanted) -> list[dict[str, str]]:
        found = [attributes for name, attributes in self.tags if name == tag]
        return [a for a in found if all(v in a.get(k, "").split() for k, v in wanted.items())]


def build(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The book in a folder whose name needs care; its sources are left as they were."""
    folder = tmp_path_factory.mktemp("a web book") / "sub folder"
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "notebooks").rglob("*.ipynb")}
    done = build([sys.executable, str(BOOK / "make_book.py"), str(folder)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not (BOOK / "api").exists() and "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(book):
    return {
        str(path.relative_to(book)): Page(path)
        for path in sorted(book.rglob("*.html"))
        if "_static" not in path.parts
    }


def test_a_warning_ends_the_build(tmp_path):
    """The settings of the book on a page with a link to nowhere."""
    for name in ("conf.py", "course_links.py"):
        shutil.copy(BOOK / name, tmp_path)
    for name in ("_templates", "_static"):
        shutil.copytree(BOOK / name, tmp_path / name)
    (tmp_path / "index.md").write_text("# A page\n\n[to nowhere](10_missing.ipynb)\n")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning"]
    done = build([*command, str(tmp_path), str(tmp_path / "built")])
    assert done.returncode and "10_missing" in done.stderr
    assert done.stderr.count("WARNING") == 1  # so that nothing else ended it
    assert '"--fail-on-warning"' in (BOOK / "make_book.py").read_text()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_there_with_its_outputs(pages, name):
    page, cells = pages[f"{name}.html"], NOTEBOOKS[name]
    title = cells[0].source.splitlines()[0].removeprefix("# ")
    assert title in page.text
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    words = [
        output.metadata["image/png"]["alt"]
        for output in outputs
        if "alt" in output.get("metadata", {}).get("image/png", {})
    ]
    described = {attributes.get("alt") for attributes in page.all("img")}
    assert set(words) <= described
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    assert len([a for a in page.all("img") if a.get("src", "").startswith("_images/")]) == drawn


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_is_folded_in_a_notebook_is_folded_here(pages, name):
    page, cells = pages[f"{name}.html"], NOTEBOOKS[name]
    hidden = [cell for cell in cells if "hide-input" in cell.metadata.get("tags", [])]
    answers = sum(c.source.count("<details>") for c in cells if c.cell_type == "markdown")
    assert len(page.all("details", **{"class": "hide"})) == len(hidden)
    assert len(page.all("details")) == len(hidden) + answers
    assert not any("open" in attributes for attributes in page.all("details"))


def test_formulas_in_folded_answers_are_formulas(pages):
    """Markdown within HTML is left alone where a blank line is missing: dollars would show."""
    for name, page in pages.items():
        prose = re.sub(r"<(script|pre|code)\b.*?</\1>|<[^>]*>", "", page.text, flags=re.S)
        assert not re.search(r"\$[^$\n]{1,80}\\[a-z]+[^$\n]*\$", prose), name


def test_nothing_is_asked_of_a_network(pages, book):
    """No script, style, picture or font from elsewhere; links that a reader follows may be."""
    for name, page in pages.items():
        for tag, attributes in page.tags:
            address = attributes.get("src") or (tag == "link" and attributes.get("href")) or ""
            assert not urlsplit(address).netloc, (name, address)
    for path in book.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path


def test_every_link_within_the_book_leads_somewhere(pages, book):
    checked = 0
    for name, page in pages.items():
        for attributes in page.all("a"):
            link = urlsplit(attributes.get("href", ""))
            if link.scheme or link.netloc or not (link.path or link.fragment):
                continue
            path = (book / name).parent / unquote(link.path) if link.path else book / name
            assert path.resolve().is_file(), (name, link)
            target = str(path.resolve().relative_to(book.resolve()))
            if link.fragment and target in pages:
                assert unquote(link.fragment) in pages[target].ids | {"content"}, (name, link)
                checked += 1
    assert checked > 1000


def test_no_page_knows_where_it_stands(pages):
    """Every address is relative, so that the folder can be moved into any other."""
    for name, page in pages.items():
        for _, attributes in page.tags:
            for address in (attributes.get("href", ""), attributes.get("src", "")):
                assert not address.startswith(("/", "file:")), (name, address)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_numbered_equation_can_be_linked_to(pages, name):
    prose = "\n".join(c.source for c in NOTEBOOKS[name] if c.cell_type == "markdown")
    for number in re.findall(r"\\tag\{([\d.]+)\}", prose):
        assert f"eq-{number.replace('.', '-')}" in pages[f"{name}.html"].ids


def test_equations_that_docstrings_name_are_links(pages):
    """In the API no equation is named without its link, and the link leads to its notebook."""
    links = 0
    for name, page in pages.items():
        if not name.startswith("api"):
            continue
        body = page.text.partition('<article role="main"')[2].partition("</article>")[0]
        assert not re.search(r"Eqs?\. \d", body), name
        for notebook, place in re.findall(r'href="(?:\.\./)?(\d\d)_\w+\.html#eq-(\d-\d+)"', body):
            assert int(notebook) == int(place[0])
            links += 1
    assert links > 40


def test_every_public_name_has_a_page_and_the_notebooks_lead_there(pages):
    names = [
        name
        for name in svae_helpers.__all__
        if getattr(svae_helpers, name).__module__.startswith("svae_helpers")
    ]
    for name in names:
        page = pages[f"api/svae_helpers.{name}.html"]
        assert f"svae_helpers.{name}" in page.ids
    for stem, cells in NOTEBOOKS.items():
        imports = next(c.source for c in cells if "from svae_helpers import" in c.source)
        linked = pages[f"{stem}.html"].text
        for name in names:
            if re.search(rf"^    {name},$|import .*\b{name}\b", imports, flags=re.M):
                assert f'href="api/svae_helpers.{name}.html#svae_helpers.{name}"' in linked, name


def test_an_attribute_of_something_else_is_no_link():
    sys.path.insert(0, str(BOOK))
    try:
        from course_links import NAME
    finally:
        sys.path.remove(str(BOOK))
    dot, name = '<span class="o">.</span>', '<span class="n">{}</span>'.format
    assert NAME.fullmatch(name("fit")).groups() == ("fit", None)
    assert NAME.fullmatch(name("SpikeAndSlab") + dot + name("gaussian"))[2] == "gaussian"
    assert NAME.search(name("model") + dot + name("fit"))[1] == "model"
    assert [found[1] for found in NAME.finditer("x" + dot + name("fit"))] == []


def test_the_other_pages_are_there(pages):
    assert "Rubric of task 5" in pages["assignments/README.html"].text
    assert pages["assignments/README.html"].all("a", **{"class": "download"})
    assert 'id="pg-pad"' in pages["playground.html"].text
    references = pages["references.html"].text
    for stem in NOTEBOOKS:
        has = any(c.source.startswith("## References") for c in NOTEBOOKS[stem])
        assert has == (f'href="{stem}.html"' in references.partition("<article")[2])


# ---- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(book):
    """The book's parent folder over HTTP: the book stands in a subfolder of the address."""
    handler = functools.partial(QuietHandler, directory=str(book.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/sub%20folder"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


FORMULAS = "document.querySelectorAll('.math').length"
SET = "document.querySelectorAll('mjx-container').length"
WRONG = "document.querySelectorAll('mjx-merror, [data-mjx-error]').length"


@pytest.mark.parametrize("width", [390, 1050, 1366])
def test_pages_from_a_file_are_whole_and_fit_the_screen(browser, book, width):
    for stem in [*NOTEBOOKS, "index", "api", "playground", "references", "assignments/README"]:
        page = browser.new_page(viewport={"width": width, "height": 844})
        watch = Watch(page)
        page.goto((book / f"{stem}.html").as_uri())
        page.wait_for_function(f"{SET} === {FORMULAS}", timeout=60_000)
        assert page.evaluate(WRONG) == 0, stem
        assert page.evaluate("document.documentElement.scrollWidth") <= width, stem
        page.close()
        assert watch.errors == [] and watch.requests == [], stem


@pytest.mark.parametrize("where", ["file", "subfolder"])
def test_the_search_finds_the_crossover(browser, book, server, where):
    address = book.as_uri() if where == "file" else server
    page = browser.new_page()
    watch = Watch(page)
    page.goto(f"{address}/index.html")
    page.locator("input[name=q]").first.fill("crossover")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for(timeout=30_000)
    found = page.locator("#search-results li a").evaluate_all("links => links.map(l => l.href)")
    assert any("04_spike_and_slab_prior.html" in link for link in found)
    page.goto(f"{address}/search.html?q=xylophone")
    page.locator("#search-results p").first.wait_for()
    assert page.locator("#search-results li").count() == 0
    page.close()
    assert watch.errors == [] and watch.requests == []


def test_the_playground_works_in_the_book_and_follows_its_dark_switch(browser, server):
    page = browser.new_page(color_scheme="light")
    watch = Watch(page)
    page.goto(f"{server}/playground.html")
    page.locator("#playground[data-ready=true]").wait_for(state="attached", timeout=30_000)
    ground = "getComputedStyle(document.querySelector('.pg-card')).backgroundColor"
    light = page.evaluate(ground)
    for theme in ("light", "dark"):
        page.evaluate(f"document.body.dataset.theme = '{theme}'")
        assert (page.evaluate(ground) == light) == (theme == "light")
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.body.dataset.theme = 'light'")
    assert page.evaluate(ground) == light
    before = page.evaluate("playground.state.shown.sparse.words")
    page.locator("#pg-keep").fill("2")
    assert page.evaluate("playground.state.shown.sparse.words") != before
    page.close()
    assert watch.errors == [] and watch.requests == []


def test_the_switch_of_the_book_turns_it_dark(browser, book):
    page = browser.new_page(color_scheme="light")
    page.goto((book / "04_spike_and_slab_prior.html").as_uri())
    seen = set()
    for _ in range(3):
        page.locator(".theme-toggle:visible").first.click()
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    page.close()
    assert len(seen) == 2


def test_a_folded_answer_opens(browser, book):
    page = browser.new_page()
    page.goto((book / "04_spike_and_slab_prior.html").as_uri())
    for summary in ("Show the code that draws", "Answer", "Hint"):
        folded = page.locator("details", has=page.get_by_text(summary, exact=True)).first
        inside = folded.locator("> :not(summary)").first
        assert inside.count() and not inside.is_visible()
        folded.locator("summary").click()
        assert inside.is_visible()
    page.close()
