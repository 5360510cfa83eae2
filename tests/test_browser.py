"""JupyterLab as a student sees it: a notebook runs there, and a slider redraws its picture.

Needs Chromium and playwright, which students do not; skipped where they are missing.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)
pytest.importorskip("jupyterlab")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "04_spike_and_slab_prior.ipynb"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab over a copy of the notebooks; yields its address."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns("assignments"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--no-browser", f"--port={port}", "--IdentityProvider.token=t", "--allow-root"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *settings],
        cwd=folder,
        env={**os.environ, "JUPYTER_PREFER_ENV_PATH": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield f"{address}/lab/tree/{NOTEBOOK}?token=t&reset"
    finally:
        server.terminate()
        server.wait(20)


def test_a_slider_redraws_its_picture_in_jupyterlab(lab):
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(lab, wait_until="domcontentloaded")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=120_000)
        idle = page.get_by_text("| Idle")  # before the kernel is up, running does nothing
        idle.first.wait_for(timeout=120_000)
        page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
        page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        slider = page.locator(".noUi-handle").first
        slider.wait_for(state="attached", timeout=180_000)
        slider.scroll_into_view_if_needed()
        picture = (
            "(handle) => handle.closest('.jp-Cell').querySelector('.jp-RenderedImage img')?.src"
        )
        page.wait_for_function(f"() => ({picture})(document.querySelector('.noUi-handle'))")
        before = slider.evaluate(picture)
        slider.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(3_000)
        if os.environ.get("SVAE_SCREENSHOT"):
            page.screenshot(path=os.environ["SVAE_SCREENSHOT"])
        after = slider.evaluate(picture)
        browser.close()
    assert before and after and before != after


def test_a_folded_cell_opens_with_a_click_in_jupyterlab(lab):
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(lab, wait_until="domcontentloaded")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=120_000)
        cell = page.locator(".jp-CodeCell", has=page.locator(".jp-InputPlaceholder")).first
        page.locator(".jp-Notebook").first.click()
        for _ in range(40):  # JupyterLab makes cells as they are scrolled to
            if cell.count():
                break
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(250)
        cell.scroll_into_view_if_needed()
        folded = cell.locator(".jp-InputPlaceholder")
        identity = cell.locator(".jp-OutputArea img").count()
        assert folded.is_visible() and identity, "the picture stands without its source"
        page.evaluate("cell => cell.setAttribute('data-seen', '1')", cell.element_handle())
        folded.click()
        opened = page.locator(".jp-CodeCell[data-seen] .cm-content")
        opened.wait_for(timeout=20_000)
        source = opened.inner_text()
        if os.environ.get("SVAE_SCREENSHOT"):
            page.screenshot(path=os.environ["SVAE_SCREENSHOT"])
        browser.close()
    assert "plotting.show" in source or "plt.subplots" in source
