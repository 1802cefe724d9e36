"""The curves are the history's means."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from PIL import Image

from initlab.figures.curves import LOWEST_R2, MOST_LABELLED, learning_curves
from initlab.figures.style import LINES, save_png
from initlab.results.summary import Study, summarize


def study(jobs: int, data: tuple[str, ...] = ("wine",), metric: str = "accuracy") -> Study:
    """Jobs of 3 members and 4 epochs each, the first the best."""
    rng = np.random.default_rng(0)
    names = [f"{name}-{k}" for name in data for k in range(jobs)]
    members, history = [], []
    for name in names:
        base = 0.9 - 0.02 * int(name.split("-")[1])
        members.append(
            pd.DataFrame(
                {
                    "job": name, "member": range(3), "data": name.split("-")[0], "metric": metric,
                    "status": "finished",
                    "test_score": base, "test_loss": 1 - base, "threshold": 0.9,
                    "epochs_to_threshold": pd.array([None] * 3, dtype="Int64"),
                }
            )
        )  # fmt: skip
        for epoch in range(4):
            score = base + rng.normal(0, 0.01, 3)
            for split in ("train", "val"):
                history.append(
                    pd.DataFrame({"job": name, "member": range(3), "epoch": epoch, "split": split, "score": score})
                )
    differing = pd.DataFrame({"init": names}, index=pd.Index(names, name="job"))
    return Study(pd.concat(members), pd.concat(history), differing)


def test_lines_are_the_means_of_validation_accuracy() -> None:
    found = study(2)
    (panel,) = learning_curves(found, summarize(found)).axes
    assert [line.get_label() for line in panel.get_lines()] == ["wine-0", "wine-1"]
    rows = found.history.query("split == 'val' and job == 'wine-1'")
    np.testing.assert_allclose(panel.get_lines()[1].get_ydata(), rows.groupby("epoch")["score"].mean())
    assert len(panel.collections) == 2
    assert "3 seeds" in panel.get_xlabel()
    assert panel.get_ylabel() == "validation accuracy"


def test_one_panel_a_data_set() -> None:
    found = study(2, ("wine", "digits"))
    assert [panel.get_title() for panel in learning_curves(found, summarize(found)).axes] == ["wine", "digits"]


def of_r2(scores: dict[str, list[float]]) -> Study:
    """Jobs of two equal members with these validation R²."""
    found = study(len(scores), metric="r2")
    rows = [
        pd.DataFrame({"job": f"wine-{k}", "member": m, "epoch": range(len(curve)), "split": "val", "score": curve})
        for k, curve in enumerate(scores.values())
        for m in range(2)
    ]
    return Study(found.members, pd.concat(rows), found.differing)


def test_an_untrained_network_does_not_flatten_the_picture() -> None:
    found = of_r2({"learns": [-50.0, 0.2, 0.8], "explodes": [-3.0, -9.0, -1e9]})
    (panel,) = learning_curves(found, summarize(found)).axes
    low, high = panel.get_ylim()
    assert low == LOWEST_R2
    assert 0.8 < high < 1.0
    assert [text.get_text() for text in panel.texts] == ["below −0.25: not shown"]
    assert panel.get_ylabel() == "validation R²"
    assert "%" not in panel.yaxis.get_major_formatter()(0.5)


def test_what_fails_everywhere_is_still_shown() -> None:
    found = of_r2({"bad": [-90.0, -4.0, -3.0], "worse": [-90.0, -6.0, -5.0]})
    low, high = learning_curves(found, summarize(found)).axes[0].get_ylim()
    assert low == -6.0
    assert -3.0 < high < 0.0


def test_nothing_is_clipped_where_all_of_it_fits() -> None:
    found = of_r2({"good": [-0.1, 0.5, 0.9], "gone": [-0.1, np.nan, np.nan]})
    (panel,) = learning_curves(found, summarize(found)).axes
    assert not panel.texts
    assert panel.get_ylim()[0] < -0.1


def test_each_panel_says_what_it_scores() -> None:
    one, other = study(1, ("wine",)), study(1, ("teacher",), "r2")
    names = ("members", "history", "differing")
    both = Study(*(pd.concat([getattr(one, name), getattr(other, name)]) for name in names))
    panels = learning_curves(both, summarize(both)).axes
    assert [panel.get_title() for panel in panels] == ["wine", "teacher"]
    assert [panel.get_ylabel() for panel in panels] == ["validation accuracy", "validation R²"]
    assert panels[0].yaxis.get_major_formatter()(0.5).endswith("%")


def test_many_jobs_stay_readable() -> None:
    found = study(MOST_LABELLED + 3)
    (panel,) = learning_curves(found, summarize(found)).axes
    legend = [text.get_text() for text in panel.get_legend().get_texts()]
    assert len(legend) == MOST_LABELLED + 1
    assert legend[-1] == "3 more"


def test_no_two_labelled_lines_look_the_same() -> None:
    assert len(set(LINES[:MOST_LABELLED])) == MOST_LABELLED
    greys = [(round(float(np.dot(to_rgb(color), (0.299, 0.587, 0.114))), 1), dash) for color, dash in LINES[:4]]
    assert len(set(greys)) == 4


def test_the_file_is_a_picture(tmp_path: Path) -> None:
    found = study(2)
    save_png(learning_curves(found, summarize(found)), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
