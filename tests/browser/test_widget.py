"""The widget in a real browser: JupyterLab on loopback, driven by Playwright with Debian's Chromium.

Skipped, with the reason, where one of them is missing; ``make browser`` sets up what Python needs.
Screenshots go to the folder that BROWSER_SHOTS names, else to a temporary one.
"""

import base64
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDED = ("ipykernel", "ipywidgets", "jupyterlab", "playwright")
MISSING = [name for name in NEEDED if not importlib.util.find_spec(name)] + ["chromium"] * (CHROMIUM is None)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}; see make browser")

NOTEBOOK = """
import time

import pyro
import pyro.distributions as dist
import torch

from arviz_resampler import Resampler, quantile

effects = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
errors = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def make_model(location=8.0, spread=5.0):
    if spread > 39:
        raise ValueError("too wide a spread")
    if 20 < spread < 21:
        time.sleep(1.5)

    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, location))
        tau = pyro.sample("tau", dist.HalfNormal(spread))
        return mu, tau

    return model


guide = make_model(25.0, 30.0)


def simulator():
    mu, tau = guide()
    with pyro.plate("school", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, errors), obs=effects)


resampler = Resampler(guide, simulator, num_guide_samples=50_000, random_seed=0, progressbar=False)
tuner = resampler.tune(make_model, 500, location=(0.05, 40.0), spread=(1.0, 40.0))
tuner.targets = {
    "P(y > 50)": (lambda ds: ds.y > 50, 0.03),
    "between schools": quantile(lambda ds: ds.y.std("school"), 0.5, 16.0),
}
tuner.widget()
"""
SECONDS = 1000  # of Playwright's milliseconds


def notebook(*sources):
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "source": source.strip(), "metadata": {}, "outputs": []}
        | {"execution_count": None}
        for i, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of a JupyterLab."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(home):
    """The address of a JupyterLab of its own, with the notebook in it."""
    (home / "notebooks").mkdir()
    (home / "notebooks" / "tune.ipynb").write_text(notebook(NOTEBOOK, ""))
    news = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(home / folder) for name, folder in folders.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
    ]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'notebooks'}"]
    with open(home / "log.txt", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"JupyterLab did not start: {(home / 'log.txt').read_text()[-2000:]}")
                time.sleep(0.2)
        yield f"{address}/lab/tree/tune.ipynb?reset"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def complaints():
    """Errors in the console of the browser."""
    return []


@pytest.fixture(scope="module")
def page(lab, complaints, shots):
    """The notebook, with its first cell run and the widget there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(lab)
        try:
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60 * SECONDS)
            run(page, 0)
            page.locator("[role=status]", has_text="ESS").wait_for(timeout=120 * SECONDS)
            page.get_by_text("reliable from").nth(1).wait_for(timeout=30 * SECONDS)
        except Exception:
            page.screenshot(path=shots / "failed.png")
            raise
        yield page
        browser.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    folder = Path(os.environ.get("BROWSER_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(page, number):
    """Run a cell: click into it and press the keys, until its prompt says that it runs or has run."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    which = page.locator(".jp-Dialog button", has_text="Select")
    for _ in range(5):
        if which.count():  # JupyterLab asks for the kernel where the keys were faster than the kernel
            which.click()
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        for _ in range(20):
            if which.count():
                break
            if re.search(r"[*\d]", cell.locator(".jp-InputPrompt").inner_text()):
                return
            page.wait_for_timeout(100)
    pytest.fail(f"cell {number} does not run")


def boxes(page):
    return page.locator(".widget-text input").evaluate_all("all => all.map(box => box.value)")


def type_in(page, number, text):
    box = page.locator(".widget-text input").nth(number)
    box.fill(text)
    box.press("Enter")


def press(page, name):
    page.locator(f".jupyter-widgets button:has-text('{name}')").click()


def badge(page):
    return page.locator("[role=status]").inner_text()


def picture(page):
    """The bytes of the picture, and how many pictures there are in the notebook."""
    script = """async all => {
        const bytes = new Uint8Array(await (await fetch(all[0].src)).arrayBuffer());
        return [Array.from(bytes), all.length];
    }"""
    return page.locator(".jp-Notebook .jp-OutputArea img:visible").evaluate_all(script)


def wait(page, holds):
    """Until something holds in the notebook, as the kernel has caught up."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, badge(page)
        page.wait_for_timeout(50)


def settled(page):
    """The picture once it has stopped changing."""
    last, now = None, picture(page)
    while last != now:
        page.wait_for_timeout(700)
        last, now = now, picture(page)
    return now


def outputs(page):
    return page.locator(".jp-Notebook .jp-OutputArea-child").count()


def test_the_browser_shows_the_start_as_it_was_given(page, shots):
    assert boxes(page) == ["8", "5"]
    assert "good" in badge(page)
    assert "of 500 draws distinct" in badge(page)
    page.locator(".jp-OutputArea").first.scroll_into_view_if_needed()
    page.locator("[role=status]").scroll_into_view_if_needed()
    page.screenshot(path=shots / "wide.png")


def test_a_slider_that_moves_changes_picture_and_badge_in_place(page, shots):
    before = badge(page), settled(page), outputs(page)
    page.locator(".noUi-handle").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    wait(page, lambda: badge(page) != before[0] and picture(page)[0] != before[1][0])
    assert settled(page)[1] == before[1][1] == 1
    # 20 of 200 steps of a scale from 0.05 to 40, by ratio.
    assert float(boxes(page)[0]) == pytest.approx(8 * 800**0.1, rel=0.03)
    assert outputs(page) == before[2]


def test_a_drag_ends_at_its_newest_value(page):
    handle = page.locator(".noUi-handle").first
    where = handle.bounding_box()
    x, y = where["x"] + where["width"] / 2, where["y"] + where["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(120):
        page.mouse.move(x - i, y)
    page.mouse.up()
    wait(page, lambda: float(boxes(page)[0]) < 2)
    press(page, "Code")
    settled(page)
    code = page.locator(".arviz-resampler-code textarea").input_value()
    assert f"dist.Normal(0.0, {float(boxes(page)[0])!r})" in code
    press(page, "Code")


# Keeps the times of moves and of new pictures.
WATCH = """image => {
    window.moves = [];
    window.pictures = [];
    document.addEventListener("pointermove", () => window.moves.push(performance.now()), true);
    new MutationObserver(() => window.pictures.push(performance.now()))
        .observe(image, {attributes: true, attributeFilter: ["src"]});
}"""


def test_the_picture_follows_a_slider_that_is_held(page, shots):
    page.locator(".jp-Notebook .jp-OutputArea img:visible").evaluate(WATCH)
    where = page.locator(".noUi-handle").first.bounding_box()
    x, y = where["x"] + where["width"] / 2, where["y"] + where["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    latencies = []
    for i in range(12):
        count = page.evaluate("window.pictures.length")
        page.mouse.move(x + 4 * (i + 1), y)
        wait(page, lambda count=count: page.evaluate("window.pictures.length") > count)
        latencies.append(page.evaluate("window.pictures.at(-1) - window.moves.at(-1)"))
    page.screenshot(path=shots / "held.png")
    page.mouse.up()
    median = sorted(latencies)[len(latencies) // 2]
    (shots / "latency.txt").write_text(f"{median:.0f} ms from a move to its picture, median of 12\n")
    type_in(page, 0, "8")
    wait(page, lambda: boxes(page)[0] == "8" and "good" in badge(page))


def look_of_renewed(page):
    """Opacity of what is in badge and picture, and the words over each."""
    script = """all => all.map(e => [
        getComputedStyle(e.firstElementChild).opacity, getComputedStyle(e, "::after").content,
    ])"""
    return page.locator(".arviz-resampler-renewed").evaluate_all(script)


def test_until_a_picture_is_there_badge_and_picture_are_dimmed_and_say_updating(page, shots):
    wait(page, lambda: look_of_renewed(page) == [["1", "none"]] * 2)
    type_in(page, 1, "20.5")
    wait(page, lambda: look_of_renewed(page) == [["0.35", '"updating …"']] * 2)
    page.screenshot(path=shots / "updating.png")
    wait(page, lambda: look_of_renewed(page) == [["1", "none"]] * 2)
    before = picture(page)
    type_in(page, 1, "5")
    wait(page, lambda: picture(page) != before and "good" in badge(page))


def test_a_move_that_changes_no_draw_in_the_picture_says_so(page):
    settled(page)
    type_in(page, 0, "8.0001")
    wait(page, lambda: "No draw in the picture has changed." in badge(page))
    type_in(page, 0, "8")
    settled(page)


def test_a_slider_outside_of_what_is_covered_says_so_in_words(page, shots):
    type_in(page, 0, "0.06")
    label = page.locator(".jupyter-widgets", has_text="location").last
    wait(page, lambda: "outside the reliable range, from" in label.inner_text())
    wait(page, lambda: "unreliable" in badge(page))
    assert "Site 'mu' costs most" in badge(page)
    page.screenshot(path=shots / "outside.png")
    type_in(page, 0, "8")
    wait(page, lambda: "outside" not in label.inner_text() and "good" in badge(page))


def test_a_pinned_prior_stays_in_gray_and_undo_goes_back(page, shots):
    alone = settled(page)[0]
    press(page, "Pin")
    wait(page, lambda: picture(page)[0] != alone)
    caption = page.get_by_text("pinned, in gray: location=8, spread=5")
    assert caption.count() == 1
    type_in(page, 1, "20")
    wait(page, lambda: "20" in boxes(page))
    page.wait_for_timeout(1500)
    page.screenshot(path=shots / "pinned.png")
    page.set_viewport_size({"width": 1460, "height": 900})
    settled(page)
    page.locator(".jupyter-widgets").first.screenshot(path=shots / "widget.png")
    page.set_viewport_size({"width": 1280, "height": 900})
    press(page, "Undo")
    wait(page, lambda: boxes(page) == ["8", "5"])
    press(page, "Pin")
    wait(page, lambda: caption.count() == 0)


def test_a_model_that_fails_leaves_the_last_picture_and_says_why(page):
    before = settled(page)[0]
    type_in(page, 1, "39.5")
    wait(page, lambda: "too wide a spread" in badge(page))
    assert "no picture" in badge(page)
    assert "still that of location=8, spread=5" in badge(page)
    assert settled(page)[0] == before
    type_in(page, 1, "5")
    wait(page, lambda: "good" in badge(page))


def test_the_copied_code_runs(page):
    type_in(page, 0, "3")
    wait(page, lambda: boxes(page)[0] == "3")
    press(page, "Code")
    wait(page, lambda: "3.0" in page.locator(".arviz-resampler-code textarea").input_value())
    page.locator(".arviz-resampler-code button").click()
    wait(page, lambda: "def prior" in page.evaluate("navigator.clipboard.readText()"))
    page.locator(".jp-Notebook .jp-Cell").last.locator(".cm-content").click()
    page.keyboard.press("Control+V")
    page.keyboard.insert_text(
        "\nresampler.weigh(prior).log_ratio.sum() - tuner.update(location=3.0)[1].log_ratio.sum()"
    )
    run(page, 1)
    result = page.locator(".jp-Notebook .jp-Cell").last.locator(".jp-OutputArea-output")
    result.wait_for(timeout=20 * SECONDS)
    assert float(result.inner_text().removeprefix("np.float64(").rstrip(")")) == pytest.approx(0, abs=1e-6)
    press(page, "Code")


def test_group_and_kind_of_plot_can_be_chosen(page, shots):
    pictures = [settled(page)[0]]
    for choice in ("curves", "prior", "predictive"):
        press(page, choice)
        wait(page, lambda: picture(page)[0] != pictures[-1])
        pictures.append(settled(page)[0])
        page.screenshot(path=shots / f"chosen_{choice}.png")
        variables = page.locator(".jupyter-widgets select:visible option")
        assert variables.count() == (4 if choice == "prior" else 0)  # all, mu, tau, theta
    assert len({tuple(each) for each in pictures}) >= 3


def test_nothing_is_cut_in_a_narrow_window(page, shots):
    page.keyboard.press("Control+b")  # the file browser
    page.set_viewport_size({"width": 480, "height": 1000})
    page.locator("[role=status]").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    page.screenshot(path=shots / "narrow.png")
    right = page.locator(".jp-OutputArea-output").first.evaluate("e => e.getBoundingClientRect().right")
    edges = page.locator(
        ".jp-OutputArea-output :is(input, img, button, select, [role=status], .noUi-target)"
    ).evaluate_all("all => all.map(e => e.getBoundingClientRect().right).filter(x => x > 0)")
    assert len(edges) > 8
    assert max(edges) <= right + 1
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_console_has_no_errors(page, complaints):
    assert complaints == []


def test_a_top_up_makes_the_verdict_good(page, shots):
    type_in(page, 0, "0.06")
    wait(page, lambda: "unreliable" in badge(page))
    button = page.locator("button", has_text=re.compile(r"Top up \([\d,]+\)"))
    button.wait_for(timeout=20 * SECONDS)
    page.screenshot(path=shots / "before_top_up.png")
    button.click()
    wait(page, lambda: "good" in badge(page) and "unreliable" not in badge(page))
    wait(page, lambda: page.locator("button", has_text="Top up").is_disabled())
    page.screenshot(path=shots / "after_top_up.png")
    type_in(page, 0, "8")
    wait(page, lambda: boxes(page)[0] == "8" and "good" in badge(page))


def test_a_fit_moves_the_sliders_and_says_what_is_reached(page, shots):
    before = boxes(page)
    press(page, "Fit")
    wait(page, lambda: "fit: P(y > 50) 0.0" in badge(page))
    assert "(wished 0.03)" in badge(page)
    assert boxes(page) != before
    settled(page)
    page.screenshot(path=shots / "fit.png")
    press(page, "Undo")
    wait(page, lambda: boxes(page) == before and "fit:" not in badge(page))


def test_a_notebook_without_its_kernel_shows_the_last_picture(page, home, lab, shots):
    type_in(page, 0, "12")
    wait(page, lambda: boxes(page)[0] == "12")
    shown = settled(page)[0]
    page.locator(".jp-Notebook .jp-Cell").last.click()
    page.keyboard.press("Control+s")
    file, copy = (home / "notebooks" / f"{name}.ipynb" for name in ("tune", "copy"))
    wait(page, lambda: "location=12, spread=5" in file.read_text())
    found = json.loads(file.read_text())["cells"][0]["outputs"][-1]["data"]
    assert base64.b64decode(found["image/png"]) == bytes(shown)
    copy.write_text(file.read_text())
    page.goto(lab.replace("tune", "copy"))
    page.get_by_text("location=12, spread=5").wait_for(timeout=60 * SECONDS)
    assert picture(page) == [shown, 1]
    assert page.locator(".noUi-handle").count() == 0
    page.locator(".jp-OutputArea img").scroll_into_view_if_needed()
    page.screenshot(path=shots / "without_kernel.png")
