"""The page in Chromium, as a reader uses it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from quadzoo.records.record import Cost, run_folder, write_record
from quadzoo.report.files import write_report
from quadzoo.report.leaderboard import leaderboards
from quadzoo.report.results import read_runs
from tests.report.browsing import EVIL, Open, names, needs_chromium, sync_api, violations
from tests.report.records import predict, record, write_shares

pytestmark = needs_chromium

HISTORY = [{"train_mse": 0.3, "val_mse": 0.2}, {"train_mse": 0.1, "val_mse": 0.05}]


def write(out: Path, backbones: list[str | None], seeds: int = 1, leaky: bool = False) -> Path:
    """Write runs of backbones (None: one that fails) and return the page."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(backbones):
        for seed in range(seeds):
            key = f"{index:04x}{seed:04x}"
            cost = Cost(latency_ms=100 / (index + 1), fit_seconds=1.0 + index, params=7 + index)
            one = record(
                key, None if name is None else 0.01 * (index + 1), backbone=name or f"broken {index}",
                seed=seed, cost=cost, history=HISTORY, worst=["p1", "p0"],
            )  # fmt: skip
            one.split.leaky, one.split.leaked = leaky, 3 * leaky
            write_record(out, one)
            if name is not None:
                kinds = ["u", "v"] * 10
                predict(out, key, rng.normal(0, 1 + index, 20), image_kind=kinds)
                Image.new("L", (60, 40), 128).save(out / "runs" / key / "worst.webp")
    (out / "runs").mkdir(exist_ok=True)
    results = read_runs([out])
    write_report(out, leaderboards(results.runs), results)
    return out / "leaderboard.html"


def test_sorts_by_any_column(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["b", "c", None, "a"]))
    models = ["b", "c", "a"]
    without = ["mean-of-train", "pixel-lookup"]
    assert names(page)[:3] == models
    page.get_by_role("button", name="backbone", exact=True).click()
    assert [name for name in names(page) if name in models] == ["a", "b", "c"]
    heading = page.locator("table.rows > thead th", has_text="latency")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert names(page)[:3] == ["a", "c", "b"]
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert names(page)[:3] == ["b", "c", "a"]
    assert set(names(page)[3:]) == {*without, "broken 2 failed"}  # what has no value stays last
    assert page.locator("[aria-sort]").count() == 1


def test_filters(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["resnet", "convnext", None]))
    page.get_by_label("Filter").fill("NEXT")
    assert names(page) == ["convnext"]
    assert page.locator(".count").inner_text() == "1 of 5 rows"
    page.get_by_label("Filter").fill("is nan")  # an error
    assert names(page) == ["broken 2 failed"]
    page.get_by_label("Filter").fill("")
    page.get_by_label("Plugin").select_option("quadzoo 0")
    assert names(page) == ["resnet", "convnext", "broken 2 failed"]


def test_details_unfold_by_keyboard(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good", "bad"]))
    assert page.locator(".details:visible").count() == 0
    button = page.get_by_role("button", name="bad", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    details = page.locator(".details:visible")
    assert details.count() == 1
    assert details.get_by_role("img", name="image p1").is_visible()
    assert details.get_by_role("img", name="Learning curves of bad + mlp").is_visible()
    assert "--backbones bad" in details.inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".details:visible").count() == 0


def test_plot_changes_its_axis(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good", "bad"]))
    plot = page.locator(".cost:visible")
    assert plot.count() == 1
    assert "latency of one image" in plot.inner_text()
    page.get_by_label("Cost").select_option("parameters, millions")
    assert plot.count() == 1
    assert "parameters, millions" in plot.inner_text()
    assert page.locator(".cost circle:visible").count() == 2


def test_works_without_scripts(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good", "bad"]), java_script_enabled=False)
    assert names(page)[:2] == ["good", "bad"]
    assert page.locator(".cost:visible").count() == 3
    assert page.locator(".controls:visible").count() == 0


def test_two_rows_are_compared(tmp_path: Path, open_page: Open) -> None:
    written = write(tmp_path, ["good", "bad", "worse"])
    still = open_page(written, java_script_enabled=False).locator(".compared").inner_text()
    assert still.startswith("good + mlp (seed 0) is nearer on 1")
    page = open_page(written)
    assert page.locator(".compared").inner_text() == still
    page.get_by_label("Row A").select_option("worse + mlp (seed 0)")
    good, worse = (predictions(tmp_path, key) for key in ("00010000", "00020000"))
    gain = good.abs() - worse.abs()  # by which worse is nearer
    assert page.locator(".compared").inner_text() == (
        f"worse + mlp (seed 0) is nearer on {(gain > 0).sum()} of 20 test images, "
        f"bad + mlp (seed 0) on {(gain < 0).sum()}."
    )
    nearer, further = page.locator(".pairs .worst").all()
    assert nearer.locator(".id").all_inner_texts() == list(gain[gain > 0].nlargest(10).index)
    assert further.locator(".id").all_inner_texts() == list((-gain[gain < 0]).nlargest(10).index)
    cells = further.locator("td").all_inner_texts()[:3]
    image = gain.idxmin()
    assert [float(cell) for cell in cells] == pytest.approx([5, 5 + worse[image], 5 + good[image]], rel=1e-2)
    page.get_by_label("Row B").select_option("worse + mlp (seed 0)")
    assert page.locator(".compared").inner_text() == "Choose two different rows."
    assert page.locator(".pairs").inner_text() == ""


def predictions(out: Path, key: str) -> pd.Series:
    """The errors of a run by image."""
    table = pd.read_csv(run_folder(out, key) / "predictions.csv", index_col="id")
    return table["y_pred"] - table["y"]


# Names, and what they must not cover; lines are cut into short pieces, whose boxes are thin.
COVERED = """() => {
  const meets = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom;
  const found = [];
  for (const plot of document.querySelectorAll(".cost .plot")) {
    if (!plot.getClientRects().length) continue;
    const frame = plot.getBoundingClientRect();
    const names = [...plot.querySelectorAll(".name, .note")].map(element => {
      const {left, right, top, bottom} = element.getBoundingClientRect();
      const slack = (bottom - top) / 8;  // above and below the letters
      return {text: element.textContent, left, right, top: top + slack, bottom: bottom - slack};
    });
    const others = [...plot.querySelectorAll("circle")].map(one => one.getBoundingClientRect());
    for (const line of plot.querySelectorAll(".point path, .front, .bar, .leader")) {
      const place = line.getScreenCTM();
      for (let at = 0, length = line.getTotalLength(); at <= length; at += 2) {
        const {x, y} = line.getPointAtLength(at).matrixTransform(place);
        others.push({left: x - .5, right: x + .5, top: y - .5, bottom: y + .5});
      }
    }
    names.forEach((one, index) => {
      if (one.left < frame.left || one.right > frame.right) found.push(`${one.text}: cut`);
      for (const other of names.slice(index + 1))
        if (meets(one, other)) found.push(`${one.text}: ${other.text}`);
      if (others.some(other => meets(one, other))) found.push(`${one.text}: a line or point`);
    });
    found.push(plot.querySelectorAll(".name").length);
  }
  return found;
}"""


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize(
    ("backbones", "named"),
    [
        (["only"], 1),
        (["good", "bad"], 2),
        ([f"net{index}" for index in range(21)], 12),
        ([f"WIDE_NAMED_backbone.of_some_length_{index}" for index in range(21)], 4),
    ],
)
def test_names_of_the_plot_cover_nothing(
    width: int, backbones: list[str | None], named: int, tmp_path: Path, open_page: Open
) -> None:
    page = open_page(write(tmp_path, backbones, seeds=2), viewport={"width": width, "height": 900})
    for cost in ("latency of one image, ms", "training, s", "parameters, millions"):
        page.get_by_label("Cost").select_option(cost)
        *covered, names = page.evaluate(COVERED)
        assert covered == []
        assert names >= (named if width == 1400 else 1)  # phones have room for fewer


BEYOND = """() => {
  const seen = element => element.checkVisibility() && element.getClientRects().length;
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (!seen(element) || element.closest("svg") && element.localName !== "svg") continue;
    const box = element.getBoundingClientRect(), scroll = element.parentElement.closest(".scroll, th");
    if (box.right > innerWidth + .5 && !scroll) found.push(element.outerHTML.slice(0, 80));
    const room = (scroll ?? document.documentElement).getBoundingClientRect();
    if (element.matches("svg, .thumb") && (box.right > room.right + .5 || !box.width))
      found.push(element.outerHTML.slice(0, 80));
  }
  for (const one of document.querySelectorAll(".scroll:has(.rows)"))
    if (one.scrollWidth > one.clientWidth) found.push(one.outerHTML.slice(0, 80));
  return found;
}"""


# Without scripts and wide, no column is left out: the table scrolls.
@pytest.mark.parametrize(("width", "scripts"), [(1400, True), (390, True), (390, False)])
def test_nothing_is_beyond_the_edge(width: int, scripts: bool, tmp_path: Path, open_page: Open) -> None:
    written = write(tmp_path, ["good", EVIL, None, "bad"], leaky=True)
    options = {"java_script_enabled": scripts, "viewport": {"width": width, "height": 900}}
    page = open_page(written, **options)
    if scripts:
        for button in page.locator("button.more").all():
            button.click()
    assert page.evaluate(BEYOND) == []


def test_errors_are_seen_on_a_phone(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good", "bad"]), viewport={"width": 390, "height": 900})
    for label in ("val MSE", "test MSE", "y: RMSE (R²)"):
        cells = page.locator(f'td[data-label="{label}"]').all()
        assert len(cells) > 1
        for cell in cells:
            box = cell.bounding_box()
            assert box
            assert 0 <= box["x"] < box["x"] + box["width"] <= 390
            assert box["height"] < 60  # a label and a number, in one piece each
            assert cell.evaluate("e => getComputedStyle(e, '::before').content") == f'"{label}"'
            assert float(cell.inner_text().split()[0]) > 0


def test_columns_that_are_left_out_are_named(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good", "bad"]), viewport={"width": 900, "height": 900})
    plugins = page.locator("table.rows thead th", has_text="plugins")
    params = page.locator("table.rows thead th", has_text=re.compile("^params$"))
    cut = page.locator(".cut")
    assert "plugins" in cut.inner_text()
    assert not plugins.is_visible()
    page.set_viewport_size({"width": 2000, "height": 900})
    sync_api.expect(params).to_be_visible()  # the page is laid out again a moment later
    sync_api.expect(cut).not_to_contain_text("params")
    page.set_viewport_size({"width": 390, "height": 900})
    sync_api.expect(cut).to_contain_text("params")
    page.get_by_label("All columns").check()
    sync_api.expect(cut).to_have_text("")
    assert plugins.is_visible()
    assert params.is_visible()


def test_policy_stops_what_is_not_ours(tmp_path: Path, browser: sync_api.Browser) -> None:
    """Were a name ever written as it is, no script of it would run and nothing of it would be loaded."""
    written = write(tmp_path, ["good", "bad"])
    evil = (
        "<script>document.title = 'evil'</script><img src=x onerror=\"document.title = 'evil'\">"
        "<p id='evil' style='position: fixed'>evil</p>"
    )
    text = written.read_text().replace("</main>", f"{evil}</main>")
    written.write_text(text)
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(written.as_uri())
    assert page.title() == "d: which backbone reads these images best?"
    assert page.locator("#evil").evaluate("e => getComputedStyle(e).position") == "static"
    directives = ("script-src ", "script-src-attr", "style-src-attr", "img-src")
    told = " ".join(complaints)
    assert "Content Security Policy" in told
    assert len(complaints) >= len(directives)
    page.close()


def test_names_stay_text(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, [EVIL, "good", None]))
    assert page.title() == "d: which backbone reads these images best?"
    assert EVIL in names(page)[0]
    page.locator("button.more").first.click()
    assert page.locator(".details:visible").count() == 1


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(width: int, scheme: str, tmp_path: Path, open_page: Open) -> None:
    written = write(tmp_path, ["good", EVIL, None], leaky=True)
    page = open_page(written, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.locator("button.more").first.click()
    page.locator("summary").click()
    assert violations(page) == []
    # The page itself never scrolls sideways; its tables do.
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_shares_of_the_training_images(width: int, scheme: str, tmp_path: Path, open_page: Open) -> None:
    write_shares(tmp_path)
    write_shares(tmp_path, backbone=EVIL[:60], exponent=0.2, shares=[0.25, 0.5])
    results = read_runs([tmp_path])
    write_report(tmp_path, leaderboards(results.runs), results)
    written = tmp_path / "leaderboard.html"
    page = open_page(written, viewport={"width": width, "height": 900}, color_scheme=scheme)
    plot = page.locator(".shares .plot")
    assert plot.is_visible()
    assert plot.locator(".best .beyond").count() == 1
    assert plot.locator(".best circle").count() == 3
    assert "Twice the images: about 0.7" in page.locator(".laws").inner_text()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("backbones", "told"),
    [
        ([], "No run yet"),
        (["only"], "only + mlp has the lowest val MSE"),
        ([None, None], "No run has finished"),
    ],
)
def test_few_runs(backbones: list[str | None], told: str, tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, backbones))
    assert told in page.inner_text("body")
    assert len(names(page)) == len(backbones) + 2 * bool(backbones)


def test_a_leak_cannot_be_overlooked(tmp_path: Path, open_page: Open) -> None:
    page = open_page(write(tmp_path, ["good"], leaky=True))
    warning = page.locator(".warning")
    assert "too optimistic" in warning.inner_text()
    red, green, blue = map(
        int, warning.evaluate("e => getComputedStyle(e).color").removeprefix("rgb(").rstrip(")").split(",")
    )
    assert red > 2 * green
    assert red > 2 * blue
    assert page.locator("tbody .flag:visible").count() == 3


@pytest.mark.slow
def test_many_rows(tmp_path: Path, open_page: Open) -> None:
    written = write(tmp_path, [f"net {index:03d}" for index in range(500)], seeds=5)
    assert written.stat().st_size < 6_000_000
    page = open_page(written)
    page.get_by_role("button", name="backbone", exact=True).click()
    page.get_by_role("button", name="backbone", exact=True).click()
    assert names(page)[:3] == ["pixel-lookup", "net 199", "net 198"]
    assert len(names(page)) == 202
