"""The playground: its tables are those of theory, its schemes draw what it says, and it works in a browser."""

import html
import json
import math
import re
import shutil
import subprocess
from collections.abc import Sized
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import nn

import initlab
from initlab.activations import Activation
from initlab.initializers import find_scheme
from initlab.lessons import playground
from initlab.lessons.playground import OFFERED, OFFERS, Offer, read_page, variances_of
from initlab.theory.mean_field import DEPTH_SCALES, correlation_map, mean_field_theory, variance_map
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_moment,
    derivative_moments,
    second_moment,
    second_moments,
)
from tests.fixtures import ROOT
from tests.helpers import make_job

PAGE = ROOT / "docs" / "playground.html"
TEXT = PAGE.read_text(encoding="utf-8")
KNOWN = read_page(PAGE)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--allow-file-access-from-files", "--enable-logging=stderr",
)  # fmt: skip
DEPTH = 6
SETTINGS = (
    ("relu", 2.0, 0.0), ("relu", 1.0, 0.0), ("relu", 1 / 3, 0.05), ("relu", 3.0, 0.1), ("leaky_relu", 1.5, 0.2),
    ("identity", 1.0, 0.0), ("identity", 0.8, 0.3), ("tanh", 1.0, 0.05), ("tanh", 2.0, 0.0), ("tanh", 2.5, 0.05),
    ("tanh", 9.0, 1.0), ("sigmoid", 1.0, 0.0), ("sigmoid", 20.0, 0.1), ("gelu", 1.5, 0.5), ("gelu", 3.0, 0.0),
    ("silu", 2.0, 1.0), ("selu", 3.0, 0.2), ("elu", 1.5, 0.1), ("softplus", 0.5, 0.0), ("hardtanh", 2.0, 0.3),
)  # fmt: skip


@pytest.mark.parametrize("name", OFFERED)
def test_between_the_places_of_its_tables_are_the_moments_of_theory(name: str) -> None:
    """By splines, which are another interpolation than the page's."""
    activation, tables = Activation(name), KNOWN["activations"][name]
    if "homogeneous" in tables:
        expected = [second_moment(activation), derivative_moment(activation)]
        assert tables["homogeneous"] == pytest.approx(expected, rel=1e-12)
    else:
        exponents = np.array([-5.03, -1.46, 0.31, 1.77])
        variances = torch.from_numpy(10**exponents)
        for key, moments in {"square": second_moments, "slope": derivative_moments}.items():
            grid, written = grid_of("exponents", tables[key]), np.array(tables[key]) / 1e6
            np.testing.assert_allclose(10**written, moments(activation, torch.from_numpy(10**grid)).numpy(), rtol=1e-5)
            spline = CubicSpline(grid, written)
            np.testing.assert_allclose(10 ** spline(exponents), moments(activation, variances).numpy(), rtol=2e-4)
    correlation, exponent = 0.83, 0.31
    place = math.sqrt(math.acos(correlation) * 2 / math.pi)
    for key, both, alone in (
        ("alike", cross_moments, second_moment),
        ("slopes_alike", derivative_cross_moments, derivative_moment),
    ):
        rows = np.array(tables[key]) / 1e6
        places = np.linspace(0, 1, rows.shape[1])
        row = (
            [float(CubicSpline(grid_of("pair_exponents", rows), column)(exponent)) for column in rows.T]
            if len(rows) > 1
            else rows[0]
        )
        known = torch.tensor([correlation], dtype=torch.float64)
        true = float(both(activation, 10**exponent, known)) / alone(activation, variance=10**exponent)
        assert float(CubicSpline(places, row)(place)) == pytest.approx(true, abs=2e-4)


def grid_of(name: str, table: Sized) -> NDArray[np.float64]:
    """The exponents of the variances that the entries of a table stand for."""
    low, high = KNOWN[name]
    return np.linspace(low, high, len(table))


def words_of(offer: Offer) -> tuple[str, dict[str, Any]]:
    """The scheme of a command, and its parameters."""
    first, *rest = offer.typed.split()
    pairs = (word.removeprefix("init.").split("=") for word in rest)
    return first.removeprefix("init="), {key: value if value.isalpha() else float(value) for key, value in pairs}


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.typed)
def test_its_schemes_draw_what_it_says(offer: Offer) -> None:
    name, parameters = words_of(offer)
    activation, width = Activation("tanh"), 240
    layer = nn.Linear(width, width)
    initlab.initialize(nn.Sequential(layer), name, activation=activation, seed=0, report=False, **parameters)
    weight = layer.weight.detach().double()
    entry = next(entry for entry in KNOWN["schemes"] if entry["typed"] == offer.typed)
    fixed = entry["variances"]["tanh"]
    expected = fixed[0] + entry["per_width"] * width, fixed[1] + entry["bias_share"] / width
    assert expected == pytest.approx(variances_of(offer, activation, width))
    assert float(weight.square().mean() * width) == pytest.approx(expected[0], rel=0.03)
    assert float(layer.bias.detach().double().square().mean()) == pytest.approx(expected[1], rel=0.3)
    if expected[0]:
        kurtosis = float((weight**4).mean() / weight.square().mean() ** 2)
        assert kurtosis == pytest.approx(1.8 if entry["drawn"] == "uniform" else 3.0, abs=0.1)
        rows = weight @ weight.T / expected[0]
        assert bool(torch.allclose(rows, torch.eye(width).double(), atol=1e-3)) == (entry["drawn"] == "orthogonal")


def test_a_rule_of_gains_that_an_activation_does_not_have_is_not_offered() -> None:
    (kaiming,) = (entry for entry in KNOWN["schemes"] if entry["typed"] == "init=he_normal init.gain=kaiming")
    assert kaiming["variances"]["gelu"] is None
    assert kaiming["variances"]["tanh"][0] == pytest.approx(25 / 9)


def test_its_commands_are_commands() -> None:
    assert [entry["typed"] for entry in KNOWN["schemes"]] == [offer.typed for offer in OFFERS]
    assert list(KNOWN["activations"]) == list(OFFERED)
    for offer in OFFERS:
        name, parameters = words_of(offer)
        assert set(parameters) <= set(find_scheme(name).function.__kwdefaults__ or {}), offer.typed
    typed = "model.depth=3 model.width=8 activation=gelu init=mean_field init.sigma_w=1.41 init.sigma_b=0.2"
    assert "init=mean_field init.sigma_w=${choice.sigma_w} init.sigma_b=${choice.sigma_b}" in TEXT
    assert make_job(*typed.split()).init


def test_the_page_is_small_and_asks_for_nothing() -> None:
    assert len(TEXT.encode()) < 150_000
    assert "default-src 'none'" in TEXT
    assert not re.findall(
        r"<(?:script|img|iframe)[^>]*\ssrc=|<link(?![^>]*data:)|@import|url\(|fetch\(|https?://", TEXT
    )
    for link in re.findall(r'<a href="([^"#]+)', TEXT):
        assert (ROOT / "docs" / link).with_suffix(".md").exists(), link


def test_every_control_has_a_label_and_every_picture_a_role() -> None:
    controls = re.findall(r'<(?:select|input)[^>]* id="(\w+)"', TEXT)
    assert len(controls) == 6
    assert all(f'<label for="{control}">' in TEXT for control in controls)
    assert all('role="img"' in picture for picture in re.findall(r"<svg[^>]*>", TEXT))


def test_filling_a_page_without_a_place_for_tables_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>nothing</p>")
    monkeypatch.setattr(playground, "everything", lambda: {"schemes": [], "activations": {}})
    with pytest.raises(initlab.base.errors.UserError, match="id tables, found 0"):
        playground.fill_page(page)


def browse(address: str, profile: Path) -> tuple[str, list[str]]:
    """What a page has become in Chromium, and what the console said."""
    assert CHROMIUM
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def printed(page: str, place: str) -> Any:
    """The JSON that stands in an element of a page."""
    found = re.search(rf'id="{place}">(.*?)</pre>', page, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]), parse_constant=float)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_twenty_settings_agree_with_theory(tmp_path: Path) -> None:
    asked = [[*setting, DEPTH] for setting in SETTINGS]
    page, said = browse(f"{PAGE.as_uri()}#self-test={quote(json.dumps(asked))}", tmp_path)
    assert said == []
    results = printed(page, "self-test")
    assert len(results) == 20
    for (name, weight_variance, bias_variance), result in zip(SETTINGS, results, strict=True):
        activation = Activation(name)
        theory = mean_field_theory(activation, weight_variance, bias_variance)
        found = {key: math.inf if value == "inf" else value for key, value in result.items()}
        where = f"{name}, {weight_variance}, {bias_variance}"
        assert found["phase"] == theory.phase, where
        assert found["q"] == near(theory.fixed_point, rel=1e-3), where
        assert found["chi"] == pytest.approx(theory.chi, rel=1e-3), where
        assert found["c"] == near(theory.correlation, abs=1e-3), where
        assert rate(found["xi"]) == pytest.approx(rate(theory.correlation_depth), abs=1e-3), where
        expected = max(rate(theory.correlation_depth), 0 if theory.phase == "critical" else abs(math.log(theory.chi)))
        assert rate(found["reach"]) == pytest.approx(expected / DEPTH_SCALES, abs=1e-3), where
        signal, gradient, alike = through_layers(activation, weight_variance, bias_variance)
        assert found["signal"] == pytest.approx(signal, rel=1e-3), where
        assert found["gradient"] == pytest.approx(gradient, rel=1e-3), where
        assert found["alike"] == pytest.approx(alike, abs=1e-3), where
        # The real network, 128 units wide, is near: a wrong φ' or a forgotten factor would show.
        assert np.log(result["network"]["signal"]) == pytest.approx(np.log(signal), abs=0.5), where
        assert np.log(result["network"]["gradient"]) == pytest.approx(np.log(gradient), abs=0.7), where
        assert result["network"]["alike"] == pytest.approx(alike, abs=0.15), where


def near(expected: float | None, *, rel: float | None = None, abs: float | None = None) -> Any:
    """Something equal to what is as near, or to None where that is expected."""
    return None if expected is None else pytest.approx(expected, rel=rel, abs=abs)


def rate(depth: float) -> float:
    """How much a layer takes, of something that lasts so many layers."""
    return math.inf if depth == 0 else 1 / depth


def through_layers(
    activation: Activation, weight_variance: float, bias_variance: float
) -> tuple[list[float], list[float], list[float]]:
    """Mean squares, gradients and correlations of a network of DEPTH layers, by `initlab.theory` alone."""
    q = torch.tensor([weight_variance + bias_variance], dtype=torch.float64)
    alike = (0.5 * weight_variance + bias_variance) / q
    signal, correlations, passed = [float(q)], [float(alike)], []
    for _ in range(DEPTH - 1):
        passed.append(weight_variance * float(derivative_moments(activation, q)))
        alike = correlation_map(activation, alike, weight_variance, bias_variance, q=float(q))
        q = variance_map(activation, q, weight_variance, bias_variance)
        signal.append(float(q))
        correlations.append(float(alike))
    return signal, [math.prod(passed[layer:]) for layer in range(DEPTH)], correlations


IN_A_PHONE = """<!doctype html><pre id="seen"></pre><iframe style="width:360px;height:800px"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, seen = { width: [], words: [], map: [] };
  const look = () => {
    seen.width.push(page.documentElement.scrollWidth);
    seen.words.push(page.getElementById("verdict").textContent);
    seen.map.push(page.getElementById("map").getAttribute("aria-label"));
  };
  const set = (id, value, kind) => {
    const control = page.getElementById(id);
    control.value = value;
    control.dispatchEvent(new frame.contentWindow.Event(kind));
    look();
  };
  look();
  page.querySelectorAll("details").forEach(one => { one.open = true; });
  set("activation", "relu", "change");
  set("scheme", "init=torch_default", "change");
  set("depth", 50, "input");
  set("sigma_w", 1.2, "input");
  set("activation", "gelu", "change");
  set("scheme", "init=zeros", "change");
  page.getElementById("draw").click();
  seen.train = page.getElementById("train").textContent;
  seen.address = frame.contentWindow.location.hash;
  seen.requests = frame.contentWindow.performance.getEntriesByType("resource").length;
  seen.unnamed = [...page.querySelectorAll("select, input")].filter(one => one.labels.length !== 1).length;
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
frame.src = "PAGE";
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_on_a_phone(tmp_path: Path) -> None:
    """No wider than 360 pixels, and every control does what it says."""
    phone = tmp_path / "phone.html"
    phone.write_text(IN_A_PHONE.replace("PAGE", PAGE.as_uri()), encoding="utf-8")
    page, said = browse(phone.as_uri(), tmp_path / "profile")
    assert said == []
    seen = printed(page, "seen")
    assert max(seen["width"]) <= 360
    tanh, relu, default, deeper, own, gelu, zeros = seen["words"]
    assert tanh == "Trainable depth, by theory: about 60 layers. 20 layers are within reach."
    assert relu == "Trainable depth, by theory: without limit. 20 layers are within reach."
    assert default == "Trainable depth, by theory: about 3 layers. 20 layers are too deep."
    assert deeper.endswith("50 layers are too deep.")
    assert "about 18 layers" in own  # 6/ln(2/1.44)
    assert gelu != own
    assert zeros == "Trainable depth, by theory: not even one layer. 50 layers are too deep."
    assert seen["map"][1] == "Phase diagram of relu. You are at σ_w = 1.41, σ_b = 0: critical."
    assert seen["train"] == "python -m initlab.train model.depth=50 model.width=64 activation=gelu init=zeros"
    assert "depth=50" in seen["address"]
    assert (seen["requests"], seen["unnamed"]) == (0, 0)
