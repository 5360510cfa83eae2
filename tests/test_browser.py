"""JupyterLab as a student sees it: every notebook runs there, and whatever can be pressed answers.

Mouse and keys do what a student does. What a notebook holds is read from `jupyterapp`, JupyterLab's
own object, which it shows to a page when it is asked to.
"""

import ast
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from .chromium import Watch

pytest.importorskip("jupyterlab")

ROOT = Path(__file__).resolve().parents[1]
PATHS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
WAIT = 120_000  # milliseconds; an answer takes a fraction of it on a busy machine
RUN = 600_000  # the same for a whole notebook

# What the tests ask a page: about the notebook in front, through JupyterLab's own model of it.
SCRIPT = """{
    const panel = () => window.jupyterapp?.shell?.currentWidget;
    const codes = () => [...(panel()?.content?.model?.cells ?? [])]
        .filter((cell) => cell.type === "code")
        .map((cell) => ({ count: cell.executionCount, outputs: cell.outputs.toJSON() }));
    const errors = (cells) => cells.flatMap((cell) => cell.outputs)
        .filter((output) => output.output_type === "error");
    const ran = () => codes().filter((cell) => cell.count);  // the count comes last
    const idle = () => panel()?.sessionContext?.session?.kernel?.status === "idle";
    window.course = {
        errors: () => errors(codes()).map((output) => output.evalue),
        counts: () => codes().map((cell) => cell.count),
        ready: () => codes().length > 0 && idle(),
        stopped: () => idle() && (errors(ran()).length > 0 || ran().length === codes().length),
        show: (index) => panel().content.scrollToItem(index, "center"),
        shutDown: () => panel().sessionContext.shutdown(),
        picture: (cell) => cell.querySelector(".jp-RenderedImage img")?.src,
    };
}"""
FAULTY = """
import matplotlib.pyplot as plt
from svae_helpers import widgets
figure = plt.figure()
widgets.explore(lambda k: figure, "It is always the same.", k=widgets.int_slider("k", 1, 0, 9))
%%
1 / 0
%%
print("not reached")
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab with its default settings over a copy of the notebooks: `address`, `folder`.

    The copies keep their outputs but not their execution counts: a cell that has one was run here.
    """
    folder = tmp_path_factory.mktemp("lab")
    for name, path in PATHS.items():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.execution_count = None
        nbformat.write(notebook, folder / f"{name}.ipynb")
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in FAULTY.split("%%")]
    faulty = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)  # with its kernel
    nbformat.write(faulty, folder / "faulty.ipynb")
    own = tmp_path_factory.mktemp("settings")  # a user's own are neither used nor changed
    environment = {
        "JUPYTER_CONFIG_DIR": own / "config",
        "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": own / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": own / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": own / "workspaces",
        "IPYTHONDIR": own / "ipython",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
    }
    port = free_port()
    options = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
    options += ["--IdentityProvider.token=t", "--LabApp.expose_app_in_browser=True"]
    with (own / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=folder,
            env={**os.environ, **{name: str(value) for name, value in environment.items()}},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + WAIT / 1000
        while not answers(f"{address}/api"):
            assert server.poll() is None and time.monotonic() < until, (own / "log").read_text()
            time.sleep(0.2)
        yield SimpleNamespace(address=address, folder=folder)
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


class Opened:
    """A notebook in front of a student."""

    def __init__(self, page, cells: list):
        self.page, self.cells, self.watch = page, cells, Watch(page)

    def menu(self, title: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=title).first.click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    def run_all(self) -> None:
        self.menu("Run", "runmenu:run-all")
        self.page.wait_for_function("course.stopped()", timeout=RUN, polling=200)

    def cell(self, index: int):
        """The cell of that number, scrolled to: JupyterLab makes cells as they come into view."""
        self.page.evaluate("(index) => course.show(index)", index)
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def numbers(self, kind: str, pattern: str) -> list[int]:
        """Numbers of the cells of a kind whose source matches a pattern."""
        return [
            index
            for index, cell in enumerate(self.cells)
            if cell.cell_type == kind and re.search(pattern, cell.source, flags=re.MULTILINE)
        ]

    def run(self, cell, source: str) -> None:
        """Put a source into a cell and run it."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")

    def append(self, source: str):
        """A new cell at the end, run."""
        self.cell(len(self.cells) - 1)
        self.page.locator(".jp-Notebook-footer").click()
        self.cells.append(nbformat.v4.new_code_cell(source))
        cell = self.cell(len(self.cells) - 1)
        self.run(cell, source)
        return cell

    def wait_for_words(self, place, words: str) -> None:
        """Wait until words can be read in a place: what is out of view has none on the screen."""
        place.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "([place, words]) => place.innerText.includes(words)",
            arg=[place.element_handle(), words],
        )

    def redraw(self, cell, press, argument, timeout: int = WAIT) -> None:
        """Press something in a cell, and wait until the cell's picture is another."""
        element = cell.element_handle()
        before = self.page.evaluate("(cell) => course.picture(cell)", element)
        press(argument)
        self.page.wait_for_function(
            "([cell, before]) => ![undefined, before].includes(course.picture(cell))",
            arg=[element, before],
            timeout=timeout,
        )


@contextlib.contextmanager
def opened(browser, lab, name: str):
    """The notebook of that name, with a kernel."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(WAIT)
    page.add_init_script(SCRIPT)
    notebook = Opened(page, nbformat.read(lab.folder / f"{name}.ipynb", as_version=4).cells)
    page.goto(f"{lab.address}/lab/tree/{name}.ipynb?token=t&reset", wait_until="domcontentloaded")
    page.wait_for_function("course.ready()")
    yield notebook
    page.evaluate("course.shutDown()")
    page.close()


@pytest.fixture(scope="module", params=PATHS)
def notebook(request, browser, lab):
    """A notebook of the course whose cells have all been run from the menu."""
    with opened(browser, lab, request.param) as notebook:
        notebook.run_all()
        yield notebook


def test_all_cells_run_to_the_end(notebook):
    assert notebook.page.evaluate("course.errors()") == []
    counts = notebook.page.evaluate("course.counts()")
    assert counts == list(range(1, len(notebook.numbers("code", "")) + 1))
    assert notebook.watch.requests == []  # nothing is asked of a network


def test_formulas_are_set(notebook):
    """Of the first cell that has one: cells out of view need not be on the page."""
    page, index = notebook.page, notebook.numbers("markdown", r"\$")[0]
    notebook.cell(index).locator("mjx-container").first.wait_for(state="attached")
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_what_is_folded_is_closed(notebook):
    hidden = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    assert hidden  # each notebook has drawings
    for index in hidden:
        cell = notebook.cell(index)
        cell.locator(".jp-InputPlaceholder").wait_for()
        assert not cell.locator(".cm-content").is_visible()
    answers = notebook.numbers("markdown", "<details>")
    for index in answers:
        folded = notebook.cell(index).locator("details")
        folded.first.wait_for()
        assert folded.count() == notebook.cells[index].source.count("<details>")
        assert folded.evaluate_all("all => all.some((one) => one.open)") is False


def test_every_check_shows_its_box(notebook):
    """Unsolved, as committed: a grey box with the number that stands above the exercise."""
    for index in notebook.numbers("code", r"^checks\.\w+\("):
        before = [cell.source for cell in notebook.cells[:index]]
        number = re.findall(r"^### Exercise ([\d.]+\d)", "\n".join(before), flags=re.MULTILINE)[-1]
        box = notebook.cell(index).locator(".jp-RenderedHTMLCommon > div")
        notebook.wait_for_words(box, f"○ {number} Not attempted")
        assert box.evaluate("box => getComputedStyle(box).borderLeftWidth") == "5px"


def controls_in(source: str) -> int:
    """How many controls a cell's `widgets.explore` makes."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    explore = next(call for call in calls if ast.unparse(call.func) == "widgets.explore")
    return len([keyword for keyword in explore.keywords if keyword.arg not in ("draw", "alt")])


def test_every_slider_and_drop_down_changes_its_picture(notebook):
    for index in notebook.numbers("code", r"widgets\.explore\("):
        cell = notebook.cell(index)
        cell.locator(".noUi-handle, select").first.wait_for()
        sliders, menus = cell.locator(".noUi-handle").all(), cell.locator("select").all()
        assert len(sliders) + len(menus) == controls_in(notebook.cells[index].source)
        for slider in sliders:
            value, highest = (slider.get_attribute(f"aria-value{end}") for end in ("now", "max"))
            notebook.redraw(cell, slider.press, "ArrowLeft" if value == highest else "ArrowRight")
        for menu in menus:
            options = menu.locator("option").all_inner_texts()
            chosen = menu.evaluate("menu => menu.selectedIndex")
            for option in options[:chosen] + options[chosen + 1 :]:
                notebook.redraw(cell, menu.select_option, option)


def test_what_goes_wrong_is_noticed(browser, lab):
    with opened(browser, lab, "faulty") as notebook:
        notebook.run_all()
        assert notebook.page.evaluate("course.errors()") == ["division by zero"]
        assert notebook.page.evaluate("course.counts()") == [1, 2, None]
        slider = notebook.cell(0).locator(".noUi-handle")
        with pytest.raises(Exception, match="Timeout"):
            notebook.redraw(notebook.cell(0), slider.press, "ArrowRight", timeout=3_000)
        assert slider.get_attribute("aria-valuetext") == "2"


def only(name: str):
    """For tests that one notebook is enough for."""
    return pytest.mark.parametrize("notebook", [name], indirect=True)


@only("04_spike_and_slab_prior")
def test_a_folded_cell_opens_with_a_click(notebook):
    cell = notebook.cell(notebook.numbers("code", "plotting.show")[0])
    cell.locator(".jp-InputPlaceholder").click()
    notebook.wait_for_words(cell.locator(".cm-content"), "plotting.show")


@only("04_spike_and_slab_prior")
@pytest.mark.parametrize("off, verdict", [("1 - spike_prob", "✗ 4.1"), ("spike_prob", "✓ 4.1")])
def test_an_answer_gets_its_verdict(notebook, off, verdict):
    """The first takes `spike_prob` for the probability of the slab."""
    cell = notebook.cell(notebook.numbers("code", r"^checks\.log_prob\(")[0])
    notebook.run(
        cell,
        "def log_prob(z, spike_prob, spike_var):\n"
        f"    return SpikeAndSlab.gaussian({off}, spike_var).log_prob(z)\n\n\n"
        "checks.log_prob(log_prob)",
    )
    box = cell.locator(".jp-RenderedHTMLCommon > div", has_text=verdict)
    notebook.wait_for_words(box, verdict)
    assert ("probability that the latent is" in box.inner_text()) == (verdict[0] == "✗")


@only("00_start_here")
def test_a_training_is_interrupted_from_the_menu_and_continued(notebook):
    training = notebook.append(
        "from svae_helpers import VAE, fit\n\n"
        "long = VAE(2)\n"
        "history = fit(long, train.images, epochs=1000)\n"
        "print('rows', len(history.train['loss']), history.interrupted)"
    )
    training.get_by_text(re.compile(r"epoch [1-9]\d*/1000")).wait_for()
    notebook.menu("Kernel", "kernelmenu:interrupt")
    said = training.locator(".jp-OutputArea", has_text="rows")
    said.wait_for()
    stopped = re.search(r"Stopped by hand after (\d+) of 1000 epochs", said.text_content())
    assert stopped and f"rows {stopped[1]} True" in said.text_content()
    more = notebook.append(
        "history = fit(long, train.images, epochs=2, resume=history)\n"
        "print('rows', len(history.train['loss']), history.interrupted)"
    )
    said = more.locator(".jp-OutputArea", has_text="rows")
    said.wait_for()
    assert f"rows {int(stopped[1]) + 2} False" in said.text_content()
