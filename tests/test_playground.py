"""The playground in a browser: its numbers are the package's, and each of its knobs works."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from svae_helpers import export, keep_strongest, load_mnist, posterior_means, pretrained
from svae_helpers.trained_models import read_parts, rebuilt

from .chromium import Watch

SOURCE = Path(__file__).resolve().parents[1] / "notebooks" / "book" / "playground"
MOST_MILLISECONDS = 20
THREE = [(0.3, 0.3), (0.45, 0.2), (0.65, 0.25), (0.65, 0.4), (0.5, 0.5)]
THREE += [(0.65, 0.6), (0.65, 0.8), (0.45, 0.85), (0.3, 0.75)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page with its weights, in a folder whose name needs care, as file://."""
    folder = tmp_path_factory.mktemp("a page") / "Übung"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("weights.js"))
    export.main(["page", str(folder / "weights.js")])
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(browser, address):
    """A fresh page, ready; at the end nothing has gone wrong and nothing has left the machine."""
    yield from opened(browser, address, viewport={"width": 1200, "height": 900})


def opened(browser, address, **settings):
    page = browser.new_page(**settings)
    watch = Watch(page)
    page.goto(address)
    page.locator("#playground[data-ready=true]").wait_for(state="attached", timeout=30_000)
    yield page
    page.close()
    assert watch.errors == [] and watch.requests == []


def draw(page, points=THREE):
    box = page.locator("#pg-pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def shown(page, side):
    return page.evaluate(f"playground.state.shown.{side}")


def logits_of(page, side):
    return torch.tensor(page.evaluate(f"[...playground.state.shown.{side}.logits]"))


def pixels_of(page):
    return torch.tensor(page.evaluate("[...playground.state.pixels]"))


@pytest.mark.parametrize("name", export.ON_THE_PAGE)
@torch.no_grad()
def test_codes_logits_and_errors_are_the_packages(page, name):
    model, (x, labels) = pretrained(name), load_mnist()[1]
    rows = page.evaluate("playground.digits.map((digit) => digit.row)")
    found = page.evaluate(
        """(name) => playground.digits.map(({ pixels }) => {
            const model = playground.models[name];
            const code = networks.encode(model, pixels);
            const logits = networks.decode(model, code);
            return [[...code], [...logits], networks.crossEntropy(logits, pixels)];
        })""",
        name,
    )
    codes, logits, errors = (torch.tensor(part) for part in zip(*found))
    x = x[rows]
    mu = model.encode(x).mean
    wanted = model.decode(mu).base_dist.logits
    assert len(rows) == 50 and labels[rows].bincount().tolist() == [5] * 10
    torch.testing.assert_close(codes, mu, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, wanted, atol=1e-2, rtol=1e-4)  # of sums up to ±100
    torch.testing.assert_close(errors, -model.decode(mu).log_prob(x), atol=1e-2, rtol=1e-4)


@torch.no_grad()
def test_the_classifier_is_the_packages(page):
    parts = read_parts("classifier")
    weights = [rebuilt(parts, key) for key in parts if not key.endswith("/scale")]
    found = page.evaluate(
        "playground.digits.map(({ pixels }) => [...networks.read(playground.classifier, pixels)])"
    )
    test = load_mnist()[1]
    rows = page.evaluate("playground.digits.map((digit) => digit.row)")
    x = test.images[rows].reshape(-1, 1, 28, 28)
    x = F.conv2d(x, weights[0], weights[1], stride=2).relu()
    x = F.conv2d(x, weights[2], weights[3], stride=2).relu()
    wanted = F.linear(x.flatten(1), weights[4], weights[5]).softmax(dim=-1)
    torch.testing.assert_close(torch.tensor(found), wanted, atol=1e-4, rtol=1e-3)
    assert (wanted.argmax(dim=-1) == test.labels[rows]).float().mean() > 0.9


def test_a_wrong_weight_would_be_noticed(page):
    """The scale of one row of one layer, 1% too large: the comparison above sees it."""
    code = "[...networks.encode(playground.models.dense, playground.digits[0].pixels)]"
    before = torch.tensor(page.evaluate(code))
    page.evaluate(
        """playground.models.dense.layers[1].weight.subarray(0, 400)
            .forEach((value, i, row) => (row[i] = 1.01 * value))"""
    )
    after = torch.tensor(page.evaluate(code))
    assert (after - before).abs().max() > 1e-3


def test_a_drawing_is_centred_as_mnists_digits_are_and_read(page):
    page.locator("#pg-clear").click()
    assert "Nothing is drawn yet" in page.locator("#pg-seen-words").inner_text()
    draw(page)
    image = pixels_of(page).reshape(28, 28)
    places = torch.arange(28) + 0.5
    assert abs((image.sum(0) * places).sum() / image.sum() - 14) < 0.3
    assert abs((image.sum(1) * places).sum() / image.sum() - 14) < 0.3
    lit = (image > 0.05).nonzero()
    extent = lit.amax(dim=0) - lit.amin(dim=0) + 1
    assert 19 <= extent.max() <= 22  # MNIST's box of 20, anywhere between pixels
    mean_ink = load_mnist()[0].images.sum(dim=1)
    assert mean_ink.quantile(0.1) < image.sum() < mean_ink.quantile(0.9)
    assert "clearly a 3" in page.locator("#pg-seen-words").inner_text()
    assert "a 3" in shown(page, "dense")["words"] and "a 3" in shown(page, "sparse")["words"]


def test_a_drawing_may_be_small_and_in_a_corner(page):
    draw(page)
    large = pixels_of(page)
    page.locator("#pg-clear").click()
    draw(page, [(0.05 + 0.4 * x, 0.05 + 0.4 * y) for x, y in THREE])
    assert F.cosine_similarity(large, pixels_of(page), dim=0) > 0.9


def test_the_pad_can_be_drawn_on_with_keys(page):
    page.locator("#pg-clear").click()
    page.locator("#pg-pad").focus()
    for key in [*["ArrowUp"] * 8, " ", *["ArrowDown"] * 16, " "]:
        page.keyboard.press(key)
    label = page.locator("#pg-pad").get_attribute("aria-label")
    assert "pen up" in label and "50% across" in label
    assert "a 1" in page.locator("#pg-seen-words").inner_text()
    page.keyboard.press("Delete")
    assert "Nothing is drawn yet" in page.locator("#pg-seen-words").inner_text()


def test_a_test_digit_is_picked(page):
    page.locator("#pg-class").select_option(label="a 7")
    first = page.evaluate("playground.state.origin")
    page.locator("#pg-another").click()
    second = page.evaluate("playground.state.origin")
    assert first["label"] == second["label"] == 7 and first["row"] != second["row"]
    assert torch.allclose(pixels_of(page), load_mnist()[1].images[second["row"]])


def test_a_turned_latent_changes_its_code_and_the_picture_alone_of_its_model(page):
    before, other = shown(page, "sparse"), shown(page, "dense")
    card = page.locator(".pg-model.pg-sparse")
    card.locator("[data-part=which]").select_option("12")
    card.locator("[data-part=turn]").fill("-3")
    after = shown(page, "sparse")
    deviation = page.evaluate("playground.models.sparse.deviations[12]")
    assert after["code"][12] == pytest.approx(-3 * deviation, rel=1e-5)
    assert after["code"][:12] + after["code"][13:] == before["code"][:12] + before["code"][13:]
    assert after["words"] != before["words"] and shown(page, "dense") == other
    card.locator("[data-part=reset]").click()
    assert shown(page, "sparse") == before


def test_a_bar_is_dragged(page):
    card = page.locator(".pg-model.pg-dense")
    card.locator("[data-part=bars]").scroll_into_view_if_needed()
    box = card.locator("[data-part=bars]").bounding_box()
    width, height = box["width"] / 360, box["height"] / 176
    x = box["x"] + (34 + 16.2 * 5 + 5) * width
    page.mouse.move(x, box["y"] + 60 * height)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 45 * height, steps=3)  # two deviations up
    page.mouse.up()
    assert page.evaluate("[...playground.state.turned.dense.keys()]") == [5]
    deviation = page.evaluate("playground.models.dense.deviations[5]")
    assert shown(page, "dense")["code"][5] == pytest.approx(2 * deviation, abs=0.05)


@pytest.mark.parametrize("side", ["dense", "sparse"])
@torch.no_grad()
def test_the_k_strongest_are_the_packages(page, side):
    row = page.evaluate("playground.state.origin.row")
    model, images = pretrained(side), load_mnist()[1].images
    mu = posterior_means(model, images)
    for k in (0, 1, 4, 20):
        page.locator("#pg-keep").fill(str(k))
        wanted = model.decode(keep_strongest(mu, k)[[row]]).base_dist.logits[0]
        torch.testing.assert_close(logits_of(page, side), wanted, atol=1e-2, rtol=1e-4)
        assert sum(shown(page, side)["kept"]) == k
        assert page.locator(f".pg-model.pg-{side} .pg-bar.pg-off").count() == 20 - k


def test_the_curve_and_its_words_follow_k(page):
    page.locator("#pg-keep").fill("4")
    page.wait_for_function("playground.curve.errors.sparse?.length === 21")
    page.wait_for_timeout(100)
    for side in ("dense", "sparse"):
        errors = page.evaluate(f"playground.curve.errors.{side}")
        assert errors[4] == pytest.approx(shown(page, side)["error"], rel=1e-6)
    dense, sparse = (round(shown(page, side)["error"]) for side in ("dense", "sparse"))
    words = page.locator("#pg-curve-words").inner_text()
    assert words.startswith("With 4 latents")
    assert f"on your digit (dense {dense}, sparse {sparse} nats)" in words
    mean = [page.evaluate(f"playground.models.{side}.errors[4]") for side in ("dense", "sparse")]
    assert words.endswith(f"test digits: dense {mean[0]:.0f}, sparse {mean[1]:.0f} nats.")
    ahead = "dense" if dense < sparse else "sparse"
    assert dense == sparse or f"the {ahead} model is ahead by {abs(dense - sparse)} nats" in words


def test_pi_moves_between_the_trained_values(page):
    for stop, name in enumerate(("sparse_0.5", "sparse", "sparse_0.9")):
        page.locator("#pg-prior").fill(str(stop))
        prior = pretrained(name).prior
        assert page.locator("#pg-prior-value").inner_text() == str(float(prior.spike_prob))
        row = page.evaluate("playground.state.origin.row")
        mu = posterior_means(pretrained(name), load_mnist()[1].images[[row]])[0]
        torch.testing.assert_close(
            torch.tensor(shown(page, "sparse")["code"]), mu, atol=1e-4, rtol=0
        )
        words = page.locator(".pg-sparse [data-part=bars-words]").inner_text()
        assert f"crossover: {int((mu.abs() > prior.crossover).sum())}." in words


def test_new_digits_are_drawn_from_each_prior(page):
    pictures = (
        "[...document.querySelectorAll('#pg-draws canvas')].map((canvas) => canvas.toDataURL())"
    )
    before = page.evaluate(pictures)
    page.locator("#pg-draw").click()
    after = page.evaluate(pictures)
    assert len(set(before) | set(after)) == 48
    status = page.locator("#pg-status")
    page.wait_for_function("document.getElementById('pg-status').innerText.includes('prior')")
    assert "of 12 are clear" in status.inner_text()


@pytest.mark.parametrize("name", export.ON_THE_PAGE)
def test_draws_follow_the_prior(page, name):
    """Mean, variance and the share past the crossover of 40,000 draws, to five standard errors."""
    z = torch.tensor(
        page.evaluate(
            """(name) => Array.from({ length: 2000 },
                () => [...networks.drawFromPrior(playground.models[name])]).flat()""",
            name,
        )
    )
    prior = pretrained(name).prior
    exact = prior.sample((1_000_000,))
    for function in (lambda z: z, torch.square, lambda z: (z.abs() > 0.5).float()):
        found, wanted = function(z), function(exact)
        error = (found.std() / len(z) ** 0.5).item()
        assert abs(found.mean() - wanted.mean()) < 5.5 * error


def test_a_redraw_takes_less_than_20_milliseconds(page):
    times = page.evaluate(
        """Array.from({ length: 21 }, () => {
            playground.redraw();
            return playground.state.milliseconds;
        })"""
    )
    assert sorted(times)[10] < MOST_MILLISECONDS


def test_every_control_has_a_name_and_every_picture_its_words(page):
    nameless = page.evaluate(
        """[...document.querySelectorAll("#playground :is(button, select, input)")]
            .filter((control) => !(control.innerText.trim() && control.tagName === "BUTTON")
                && !control.getAttribute("aria-label") && !control.labels?.length)
            .map((control) => control.outerHTML)"""
    )
    assert nameless == []
    pictures = page.locator("#playground :is(canvas, svg, div)[role=img]")
    assert pictures.count() == 8
    for i in range(pictures.count()):
        handle = pictures.nth(i)
        label = handle.get_attribute("aria-label") or page.locator("#pg-curve-words").inner_text()
        assert len(label.split()) > 5
    page.wait_for_function("document.getElementById('pg-status').innerText.includes('Sparse:')")
    status = page.locator("#pg-status")
    assert status.get_attribute("aria-live") == "polite"
    assert "Test digit number" in status.inner_text() and "Dense: Rebuilt" in status.inner_text()


def test_every_control_is_reached_with_the_tab_key(page):
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        focus = "document.activeElement.id || document.activeElement.dataset.part"
        reached.add(page.evaluate(focus))
    wanted = {"pg-pad", "pg-clear", "pg-class", "pg-another", "pg-keep", "pg-prior", "pg-draw"}
    assert wanted | {"which", "turn"} <= reached


@pytest.mark.parametrize("width", [390, 320, 768])
def test_nothing_scrolls_sideways(browser, address, width):
    for page in opened(browser, address, viewport={"width": width, "height": 844}, has_touch=True):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("#playground :is(button, select, input, canvas, svg)")
        for i in range(boxes.count()):
            box = boxes.nth(i).bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_a_finger_draws(browser, address):
    for page in opened(browser, address, viewport={"width": 390, "height": 844}, has_touch=True):
        page.locator("#pg-pad").tap()
        assert page.evaluate("playground.state.strokes.length") == 1
        assert (
            page.locator("#pg-pad").evaluate("pad => getComputedStyle(pad).touchAction") == "none"
        )


CONTRAST = """(selector) => {
    const parse = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = (colour) => {
        const [r, g, b] = parse(colour).map((value) => value / 255)
            .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const element = document.querySelector(selector);
    const style = getComputedStyle(element);
    const ground = getComputedStyle(element.closest(".pg-card")).backgroundColor;
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(ground)];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), light(ground)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_both_schemes(browser, address, scheme):
    for page in opened(browser, address, color_scheme=scheme):
        page.wait_for_function("playground.curve.errors.sparse?.length === 21")
        for selector in (
            "h2",
            "figcaption",
            ".pg-tick",
            ".pg-dense .pg-name",
            ".pg-sparse .pg-name",
        ):
            contrast, ground = page.evaluate(CONTRAST, f"#playground {selector}")
            assert contrast >= 4.5, selector
            assert (ground < 0.1) == (scheme == "dark")


def test_without_its_weights_the_page_says_what_is_missing(browser, tmp_path):
    no_weights = shutil.ignore_patterns("weights.js")
    folder = shutil.copytree(SOURCE, tmp_path / "page", ignore=no_weights)
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    page.locator(".pg-error").wait_for()
    assert "python -m svae_helpers.export page" in page.locator("#pg-status").inner_text()
    page.close()
