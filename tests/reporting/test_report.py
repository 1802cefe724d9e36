"""The report as files: complete, escaped, self-contained, and what it says where there is little to say."""

import html
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from initlab.cli.run_report import main
from tests.helpers import run
from tests.results.studies import Cell, write_study

EVIL = "<script>alert(1)</script>$x_2$&\"'|*`[a](b)"
PICTURES = 10
SCORES = {"he": 0.9, "xavier": 0.88, "zeros": 0.1}
NOISE = np.random.default_rng(0).normal(0, 0.02, 200)


def report(arguments: str, patch: pytest.MonkeyPatch, folder: Path) -> int:
    return run(arguments, patch, folder, program=main)


def cells(**more: Any) -> list[Cell]:
    """Two data sets, two activations, three initializers, two learning rates."""
    made = []
    for number, (data, activation, init, rate) in enumerate(
        (d, a, i, r) for d in ("wine", "digits") for a in ("relu", "tanh") for i in SCORES for r in (0.01, 0.1)
    ):
        changes = {"data.name": data, "activation.name": activation, "init.name": init, "optim.lr": rate}
        made.append(Cell(changes, SCORES[init] * (0.5 + 5 * rate) + NOISE[number : number + 8], **more))
    return made


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything in it, and its report; one name is what nobody would type."""
    folder = write_study(tmp_path_factory.mktemp("report") / "study", *cells())
    for path in folder.glob("*/config.yaml"):
        config = yaml.safe_load(path.read_text())
        if config["init"]["name"] == "xavier":
            config["init"]["name"] = EVIL
            path.write_text(yaml.safe_dump(config))
    lost = Cell({"data.name": "wine", "init.name": "ones", "optim.lr": 0.1}, [0.2, np.nan, *[0.3] * 6])
    write_study(folder, lost)
    (folder / "init=broken").mkdir()
    (folder / "init=broken" / "error.txt").write_text(f"Traceback\n  x\nValueError: {EVIL}\n\nname: x\n")
    with pytest.MonkeyPatch.context() as patch:
        assert report("study", patch, folder.parent) == 0
    return folder


class Page(HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attributes if name == "src" or (tag == "link" and name == "href")
        ]
        self.links += [value or "" for name, value in attributes if tag == "a" and name == "href"]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_has_every_section_and_needs_nothing_else(study: Path) -> None:
    text = (study / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert all(address.startswith("data:") for address in page.addresses)
    assert all(link.startswith("#") or (study / link).is_file() for link in page.links)
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "The answer", "Leaderboard", "Every seed", "Learning curves", "Pair by pair", "What matters",
        "Learning rates", "Candidate × activation", "Across data sets", "Near the best", "Speed", "Diverged", "Failed",
        "All jobs", "How to repeat it", "How the numbers were made",
    ]  # fmt: skip
    assert page.tags.count("img") == len(list((study / "figures").glob("*.svg"))) == PICTURES


def test_whatever_a_config_contains_is_shown_as_it_is(study: Path) -> None:
    text = (study / "report.html").read_text()
    assert "<script" not in text
    assert html.escape(EVIL, quote=False) in text.replace("&#34;", '"').replace("&#39;", "'")
    assert EVIL in Page(text).words
    markdown = (study / "report.md").read_text()
    assert "<script" not in markdown.replace("\\<script", "")
    assert "\\|\\*\\`\\[a\\](b)" in markdown


def test_every_figure_is_a_picture_twice(study: Path) -> None:
    for path in (study / "figures").glob("*.svg"):
        root = ET.parse(path).getroot()
        assert root.tag.endswith("svg")
        assert not [node for node in root.iter() if node.tag.endswith("}script")]
        with Image.open(path.with_suffix(".png")) as picture:
            assert picture.width > 600
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20


def test_every_table_is_a_csv_of_numbers(study: Path) -> None:
    names = {path.stem for path in (study / "tables").glob("*.csv")}
    assert names == {
        "candidates", "pairs", "variance_shares", "learning_rates", "heat_activation", "ranks", "score_profile",
        "speed", "time_profile", "diverged", "failed", "jobs", "environment",
    }  # fmt: skip
    table = pd.read_csv(study / "tables" / "candidates.csv")
    assert table["score"].dtype == np.float64
    assert set(table["rate"]) == {0.1}
    assert len(pd.read_csv(study / "tables" / "jobs.csv")) == 25


def test_the_leaderboard_is_the_tables_means(study: Path) -> None:
    table = pd.read_csv(study / "tables" / "candidates.csv", keep_default_na=False)
    text = Page((study / "report.html").read_text()).words
    for job, score in zip(table["job"], table["score"].astype(float), strict=True):
        members = pd.read_parquet(study / job / "members.parquet")
        assert score == pytest.approx(members["test_score"].mean())
        assert f"{score:.3f} [" in text


def test_the_markdown_has_its_pictures_and_tables(study: Path) -> None:
    text = (study / "report.md").read_text()
    pictures = re.findall(r"\]\((figures/.*?)\)", text)
    assert len(pictures) == PICTURES
    assert all((study / path).is_file() for path in pictures)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_it_says_what_failed_and_how_to_repeat_it(study: Path) -> None:
    words = Page((study / "report.html").read_text()).words
    assert f"ValueError: {EVIL}" in words
    assert "1 job failed: see below." in words
    assert "train.py -m" in words
    assert "abcdef123456" in words
    assert "0123456789ab" in words


def test_the_same_tables_give_the_same_report_without_torch(study: Path, tmp_path: Path) -> None:
    """In another process; which does not wait for torch to be imported, as that takes seconds."""
    script = "import sys; from initlab.cli.run_report import main; main(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(study), "--output", "again"], cwd=tmp_path, check=True)
    for name in ("report.html", "report.md", "figures/curves.svg", "tables/pairs.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (study / name).read_bytes(), name


@pytest.mark.usefixtures("undrawn")
def test_the_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "small", *(Cell({"init.name": name}, [score] * 8) for name, score in SCORES.items()))
    assert report("small", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.startswith("On wine, he is best: test accuracy 0.900")
    assert "In small: report.html, report.md, figures/, tables/" in said


@pytest.mark.usefixtures("undrawn")
def test_several_studies_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "a", Cell({"init.name": "he"}, [0.9] * 8), Cell({"init.name": "zeros"}, [0.1] * 8))
    write_study(tmp_path / "b", Cell({"init.name": "xavier"}, [0.8] * 8), Cell({"init.name": "he"}, [0.9] * 8))
    assert report("a b", monkeypatch, tmp_path) == 0
    table = pd.read_csv(tmp_path / "report" / "tables" / "candidates.csv")
    assert sorted(table["candidate"]) == ["he", "xavier", "zeros"]
    assert "counted once" in (tmp_path / "report" / "report.html").read_text()


def refused(arguments: str, patch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert report(arguments, patch, folder) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("initlab: ")
    return error


def test_what_cannot_be_reported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "outputs" / "study", Cell({}, [0.5, 0.6]))
    write_study(tmp_path / "old", Cell({}, [0.5, 0.6]))
    (tmp_path / "empty").mkdir()
    table = pd.read_parquet(tmp_path / "old" / "defaults" / "members.parquet")
    table.to_parquet(tmp_path / "old" / "defaults" / "members.parquet")  # without our version
    (tmp_path / "failed" / "job").mkdir(parents=True)
    (tmp_path / "failed" / "job" / "error.txt").write_text("ValueError: x\n")
    say = [refused(name, monkeypatch, tmp_path, capsys) for name in ("nothere", "empty", "outputs", "old", "failed")]
    assert "nothere: no such folder" in say[0]
    assert "empty: no finished job" in say[1]
    assert "no finished job; studies in it: outputs/study" in say[2]
    assert "no table of initlab's" in say[3]
    assert "every job failed" in say[4]


@pytest.mark.usefixtures("undrawn")
def test_a_half_written_table_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "study", *(Cell({"init.name": name}, [score] * 8) for name, score in SCORES.items()))
    path = tmp_path / "study" / "init=xavier" / "history.parquet"
    path.write_bytes(path.read_bytes()[:200])
    assert report("study", monkeypatch, tmp_path) == 0
    words = Page((tmp_path / "study" / "report.html").read_text()).words
    assert "Left out: study/init=xavier/history.parquet: unreadable" in words
    assert "he is best" in words


@pytest.mark.parametrize("scores", [[0.5], [np.nan] * 3, [0.5, np.nan]])
def test_little_is_reported_without_a_warning(
    scores: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = "r2" if len(scores) == 2 else "accuracy"
    made = [Cell({"init.name": i, "optim.lr": r}, scores, metric=metric) for i in ("he", "zeros") for r in (0.1, 1.0)]
    write_study(tmp_path / "study", *made)
    assert report("study", monkeypatch, tmp_path) == 0


def test_it_is_written_where_the_disk_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "study", Cell({}, [0.5, 0.6]))
    (tmp_path / "file").write_text("")
    assert "the report cannot be written" in refused("study --output file", monkeypatch, tmp_path, capsys)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Put into a copy of the page, as its own policy lets no script run: how wide each picture came out, and what it loaded.
LOOK = """<script>window.onload = () => {
  const widths = [...document.images].map(image => image.complete ? image.naturalWidth : 0);
  const loaded = performance.getEntriesByType('resource').map(entry => entry.name.slice(0, 5));
  document.title = JSON.stringify({widths: widths, loaded: loaded.filter(name => name != 'data:')});
}</script></body>"""


# How a page came out: what overflows it, the scale of its pictures, and whether folded tables are in sight.
MEASURE = """<script>window.onload = () => {
  const pictures = [...document.images].map(image => image.width / image.naturalWidth);
  const cells = [...document.querySelectorAll('details td')].map(cell => cell.checkVisibility());
  const view = document.documentElement;
  document.title = JSON.stringify({
    overflow: view.scrollWidth - view.clientWidth, width: view.clientWidth, scales: pictures, open: cells,
    dark: getComputedStyle(document.body).backgroundColor,
  });
}</script></body>"""


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """The page's DOM, and what the browser's console said."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_every_figure_and_asks_for_nothing(study: Path, tmp_path: Path) -> None:
    dom, console = browse(study / "report.html", tmp_path)
    assert "How the numbers were made" in dom
    assert "CONSOLE" not in console
    copy = tmp_path / "looked.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", (study / "report.html").read_text())
    copy.write_text(text.replace("</body>", LOOK))
    title = re.search(r"<title>(.*?)</title>", browse(copy, tmp_path)[0])
    assert title is not None
    seen = json.loads(html.unescape(title[1]))
    assert len(seen["widths"]) == PICTURES
    assert min(seen["widths"]) > 300
    assert seen["loaded"] == []


def measured(page: Path, folder: Path, *options: str, printed: bool = False) -> dict[str, Any]:
    """What `MEASURE` finds of a page; as it is printed, or in a window."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace("</body>", MEASURE)
    copy = folder / "measured.html"
    copy.write_text(text.replace("@media print", "@media all") if printed else text)
    title = re.search(r"<title>(.*?)</title>", browse(copy, folder, *options)[0])
    assert title is not None
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    return found


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_fits_a_narrow_window_a_dark_one_and_paper(study: Path, tmp_path: Path) -> None:
    narrow = measured(study / "report.html", tmp_path, "--window-size=500,900")
    assert narrow["width"] <= 500
    assert narrow["overflow"] == 0
    assert min(narrow["scales"]) > 0.6  # words are drawn at 9 points or so, and can still be read
    assert max(narrow["scales"]) <= 1.01
    assert not any(narrow["open"])
    dark = measured(study / "report.html", tmp_path, "--blink-settings=preferredColorScheme=0")
    assert dark["dark"] == "rgb(22, 24, 28)" != narrow["dark"]
    paper = measured(study / "report.html", tmp_path, "--window-size=740,900", printed=True)
    assert paper["overflow"] == 0
    assert paper["open"]
    assert all(paper["open"])


def test_papers_get_latex_and_pdf_and_a_part_of_the_study(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(
        tmp_path / "study",
        *(Cell({"init.name": name}, [0.9, 0.8, score]) for name, score in (("he", 0.7), ("lsuv", 0.6), ("zeros", 0.1))),
    )
    options = "study --output paper --select init=he,lsuv --latex --pdf --title Deep"
    assert report(options, monkeypatch, tmp_path) == 0
    paper = tmp_path / "paper"
    assert (paper / "figures" / "pairs.pdf").read_bytes().startswith(b"%PDF")
    latex = (paper / "tables" / "candidates.tex").read_text()
    assert "lsuv" in latex
    assert "zeros" not in latex
    for name in ("pairs", "score_profile"):
        text = (paper / "tables" / f"{name}.tex").read_text()
        assert text.startswith("% \\usepackage{")
        assert "booktabs" in text.partition("\n")[0]
        assert len(pd.read_csv(paper / "tables" / f"{name}.csv")) > 0
    page = (paper / "report.html").read_text()
    selection = "A selection: 2 of 3 jobs, those with init=he,lsuv."
    assert f"<h1>Deep</h1>\n<p>{selection}</p>\n" in page
    assert (paper / "report.md").read_text().startswith(f"# Deep\n\n{selection}\n\n## ")
    assert capsys.readouterr().out.startswith(f"{selection}\n")
    for link in ("figures/pairs.svg", "figures/pairs.pdf", "tables/candidates.csv", "tables/candidates.tex"):
        assert f'href="{link}"' in page
        assert (paper / link).exists()
    assert report("study --select init", monkeypatch, tmp_path) == 2
    assert report("study", monkeypatch, tmp_path) == 0
    assert "selection" not in (tmp_path / "study" / "report.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_study_called_after_a_moment_is_titled_by_what_it_compares(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moment = "2026-01-02_03-04-05.678901"
    write_study(tmp_path / moment, Cell({"init.name": "he"}, [0.9, 0.8]), Cell({"init.name": "zeros"}, [0.1, 0.2]))
    assert report(moment, monkeypatch, tmp_path) == 0
    assert "<h1>he and zeros on wine</h1>" in (tmp_path / moment / "report.html").read_text()
