"""Which initialization to use: what is looked at, what trains, what is said, and whether the code to paste works."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from initlab.cli import run_recommend
from initlab.cli.apps import recommend as main
from initlab.cli.run_recommend import ScreenedJob, as_torch_does, choose_promising, rates_around, split_jobs, with_rate
from initlab.config.files import CONF
from initlab.config.names import swept_keys
from initlab.config.schema import parse_config
from initlab.jobs.job import Job
from initlab.propagation.probe import Probe
from initlab.reporting.recommendation import recommendation_words
from initlab.results.analysis import Analysis, analyse
from initlab.results.choice import choose_candidate
from initlab.sweep.naming import place_jobs
from initlab.sweep.probing import probe_job
from tests.helpers import make_job, run
from tests.results.studies import Cell, Scores, study_of

LOOKED_AT = ("constant", "he_normal", "lsuv", "mean_field", "normal", "orthogonal", "torch_default", "zeros")
NOISE = np.random.default_rng(0).normal(0, 0.01, (4, 10))


def recommend(arguments: str, patch: pytest.MonkeyPatch, folder: Path) -> int:
    return run(arguments, patch, folder, program=main)


@pytest.fixture(scope="module")
def recommended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A recommendation for a small deep network, whose plain schemes lose the signal, and what was said."""
    folder = tmp_path_factory.mktemp("recommend")
    command = (
        "model.depth=8 model.width=16 activation=tanh seeds=3 trainer.max_epochs=2 name=study logger=none "
        "recommend.schemes=3 recommend.rates=3 "
        f"init={','.join(LOOKED_AT)},kaiming_normal,fixup"
    )
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context() as output:
        said: list[str] = []
        for way in ("say", "say_as_is"):
            output.setattr(f"initlab.cli.run_recommend.{way}", lambda _, text: said.append(text))
        assert recommend(command, patch, folder) == 0
    return folder / "outputs" / "recommend" / "study", "\n".join(said)


def test_schemes_are_looked_at_and_a_few_train(recommended: tuple[Path, str]) -> None:
    study, _ = recommended
    table = pd.read_csv(study / "tables" / "screening.csv")
    assert set(table["scheme"]) == set(LOOKED_AT)  # fixup needs branches, kaiming_normal is he_normal
    assert table["scheme"].is_unique
    trained = set(table.loc[table["trained"], "scheme"])
    assert len(trained) == 4
    assert "torch_default" in trained
    outlooks = table.set_index("scheme")["outlook"]
    assert outlooks["zeros"] == outlooks["constant"] == "not trainable"
    jobs = pd.read_csv(study / "tables" / "jobs.csv")
    assert set(jobs["init"]) == trained
    assert sorted(set(jobs["optim.lr"])) == [0.00158, 0.05, 1.58]
    assert len(jobs) == 12


def test_by_default_all_schemes_are_swept() -> None:
    assert yaml.safe_load((CONF / "recommend.yaml").read_text())["hydra"]["sweeper"]["params"] == {
        "init": "glob(*,exclude=keep)"
    }


def test_it_says_which_to_use_with_the_evidence_and_two_lines(recommended: tuple[Path, str]) -> None:
    study, said = recommended
    assert said.count("wine: Knowing only the commonest class scores 0.389.") == 1
    assert "Use " in said or "Keep torch's own initialization" in said
    assert "    import initlab\n    initlab.initialize(model, " in said
    page = (study / "report.html").read_text()
    titles = [part.partition("</h2>")[0] for part in page.split("<h2>")[1:]]
    assert titles[:4] == ["The recommendation", "Before training", "The answer", "Leaderboard"]
    assert (study / "summary.csv").is_file()


@pytest.mark.slow
def test_the_same_command_goes_on(
    recommended: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = recommended
    command = (
        "model.depth=8 model.width=16 activation=tanh seeds=3 trainer.max_epochs=2 name=study logger=none "
        "recommend.schemes=2 recommend.rates=3 init=he,xavier,zeros"
    )
    assert recommend(command, monkeypatch, study.parent.parent.parent) == 0
    said = capsys.readouterr().out
    assert "looking at 3 schemes before training, and at torch_default, which they are compared with" in said
    assert "training 3 schemes at 3 learning rates: he_normal, xavier_normal, torch_default" in said
    assert re.search(r"\d of 9 jobs (is|are) finished already", said)


def test_a_dry_run_looks_at_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(run_recommend, "_look_at", look)
    monkeypatch.setattr(run_recommend, "split_by_cost", look)
    settings = (
        "init=he,lsuv,gradinit optim.lr=0.1 seeds=3 recommend.schemes=2 recommend.rates=3 dry_run=true name=study"
    )
    assert recommend(settings, monkeypatch, tmp_path) == 0
    assert capsys.readouterr().out.endswith(
        "schemes to look at: gradinit, he_normal, lsuv, torch_default\n"
        "to train then: the 2 most promising of them, and torch_default, at 3 learning rates (0.00316, 0.1, 3.16), "
        "3 seeds each\n"
        "nothing was looked at or trained\n"
    )
    assert not (tmp_path / "outputs").exists()


def test_other_data_does_not_join_a_recommendation(
    recommended: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = recommended
    assert recommend("data=spirals init=he,xavier name=study", monkeypatch, study.parent.parent.parent) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has another network or other data; choose another name=NAME" in error


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("data=wine,digits init=he", "takes one network and one data set"),
        ("init=he recommend.schemes=1", "recommend.schemes=1: expected a whole number of at least 2"),
        ("init=he recommend.scheems=3", "recommend"),
        ("init=fixup", "works on residual branches"),
    ],
)
def test_mistakes_are_one_line(
    arguments: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recommend(f"{arguments} name=study", monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert line in error


def look(scheme: str, outlook: str, unevenness: float = 0.0) -> ScreenedJob:
    return ScreenedJob(make_job(f"init={scheme}"), outlook, "why", unevenness)


def names(looks: list[ScreenedJob]) -> list[str]:
    return [entry.job.init.scheme for entry in looks]


def test_the_best_outlook_trains_and_torchs_own_always() -> None:
    looks = [
        look("zeros", "not trainable"), look("normal", "hard to train"), look("he", "trainable", 2.0),
        look("xavier", "trainable", 1.0), look("torch_default", "not trainable"), look("lecun", "trainable", 3.0),
    ]  # fmt: skip
    assert names(choose_promising(looks, 8)) == ["xavier_normal", "he_normal", "lecun_normal", "torch_default"]
    assert names(choose_promising(looks, 2)) == ["xavier_normal", "he_normal", "torch_default"]
    assert names(choose_promising(looks[:3], 8)) == ["he_normal", "normal"]  # one alone is no choice
    assert names(choose_promising(looks[:1], 8)) == ["zeros"]


def test_rates_are_evenly_spaced_around_the_recipes() -> None:
    rates = rates_around(0.05, 7)
    assert rates[3] == 0.05
    assert np.log10(np.array(rates) / 0.05) == pytest.approx(np.linspace(-1.5, 1.5, 7), abs=0.002)
    assert rates_around(0.1, 1) == [0.1]


def test_a_job_at_another_rate_is_the_job_that_one_would_type() -> None:
    typed = make_job("init=he", "seeds=3", "optim.lr=0.25")
    for made in (make_job("init=he", "seeds=3"), make_job("init=he", "optim.lr=0.1", "seeds=3")):
        found = with_rate(made, 0.25)
        assert found.name == "init=he,optim.lr=0.25"
        assert found.typed == typed.typed
        assert found.resolved == typed.resolved
        assert found.fingerprint == typed.fingerprint


def test_what_torch_does_is_the_job_that_one_would_type() -> None:
    settings = ("init.bias=0.1", "model.depth=3", "seeds=3")
    found = as_torch_does(make_job("init=normal", "init.std=0.2", *settings))
    typed = make_job("init=torch_default", *settings)
    assert found.name == "init=torch_default"
    assert found.typed == typed.typed
    assert found.resolved == typed.resolved
    assert found.fingerprint == typed.fingerprint


@pytest.mark.slow
def test_it_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = "seeds=2 trainer.max_epochs=1 recommend.rates=1 logger=none name=study"
    assert recommend(f"init=he,torch_default {settings}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "looking at 2 schemes before training\n" in said
    assert said.count("  torch_default: ") == 1
    assert recommend(f"init=he {settings}", monkeypatch, tmp_path) == 0  # one alone has something to compare with
    said = capsys.readouterr().out
    assert said.count("  torch_default: ") == 1
    assert "training 2 schemes at 1 learning rate: he_normal, torch_default" in said


def test_a_folder_names_one_rate(tmp_path: Path) -> None:
    """A rate that was typed is replaced, wherever a name is made of what was typed."""
    stds = [
        make_job("init=normal", f"init.std={std}", "optim.lr=0.1", "seeds=3", output_dir=tmp_path) for std in (0.1, 0.2)
    ]
    swept = swept_keys([job.typed for job in stds])
    placed = place_jobs([with_rate(job, rate, swept) for job in stds for rate in (0.1, 0.012345678)])
    assert [one.job.name for one in placed] == [
        f"init.std={std},init=normal,optim.lr={rate}" for std in (0.1, 0.2) for rate in (0.1, 0.012345678)
    ]


def test_aliases_are_one_scheme_and_typed_rates_are_the_grid() -> None:
    jobs = [
        make_job(f"init={name}", f"optim.lr={rate}")
        for name in ("he", "he_normal", "xavier")
        for rate in (0.1, 0.01)
    ]  # fmt: skip
    found, rates = split_jobs(jobs)
    assert sorted(job.init.scheme for job in found) == ["he_normal", "xavier_normal"]
    assert rates == [0.01, 0.1]
    assert split_jobs(jobs[::2])[1] == []


def study_with_ranges(**tests: tuple[Scores, int]) -> Analysis:
    """Candidates with test scores at their best rate, and how many of five rates are as good."""
    cells = []
    for name, (scores, good) in tests.items():
        for place, rate in enumerate((1e-3, 1e-2, 1e-1, 1.0, 10.0)):
            near = place < good
            cells.append(Cell({"init.name": name, "optim.lr": rate}, scores if near else np.asarray(scores) / 2))
    return analyse(study_of(*cells))


def test_of_those_that_are_as_good_the_one_that_is_easiest_to_tune() -> None:
    found = study_with_ranges(
        he=(0.9 + NOISE[0], 3), xavier=(0.9 + NOISE[1], 4), lsuv=(0.9 + NOISE[2], 5), zeros=([0.1] * 10, 5)
    )
    chosen = choose_candidate(found, {"he", "xavier", "zeros"})
    assert chosen is not None
    assert chosen.chosen["candidate"] == "xavier"  # lsuv's range is wider, but it needs data; zeros do not learn
    assert set(chosen.near) == {"he", "xavier", "lsuv"}
    text = " ".join(recommendation_words(found, chosen))
    assert text.startswith("Use xavier, ")
    assert (
        "Of the 2 that only fill weights and whose mean is within 1 % of the best, xavier has the widest range" in text
    )
    alone = choose_candidate(found, set())
    assert alone is not None
    assert alone.chosen["candidate"] == "lsuv"


def test_ease_is_not_paid_for_with_a_worse_score() -> None:
    """However few the seeds: what they cannot tell apart may still be far apart."""
    found = study_with_ranges(he=([0.95] * 3, 2), torch_default=([0.5] * 3, 5), zeros=([0.1] * 3, 5))
    assert set(found.candidates["standing"]) == {"best", "undecided"}
    chosen = choose_candidate(found, {"he", "torch_default", "zeros"})
    assert chosen is not None
    text = " ".join(recommendation_words(found, chosen))
    assert text.startswith("Use he, ")
    assert "Undecided beside it: torch_default and zeros." in text
    assert "It is undecided whether it is better than torch's own: 0.450." in text
    assert "is better than" not in text.replace("whether it is better than", "")


def test_what_is_better_is_taken_however_hard_to_tune() -> None:
    found = study_with_ranges(he=(0.9 + NOISE[0], 1), torch_default=(0.5 + NOISE[1], 5))
    chosen = choose_candidate(found, {"he", "torch_default"})
    assert chosen is not None
    text = " ".join(recommendation_words(found, chosen))
    assert text.startswith("Use he, at a learning rate of about 0.001: test accuracy 0.9")
    assert text.endswith("0.001 is the smallest learning rate tried: a better one may lie beyond, so try further ones.")
    assert "It is better than torch's own by 0.4" in text
    assert "It is better than torch's own by 0.4" in text
    assert "try further ones" in text


def test_what_diverged_is_not_hidden() -> None:
    found = study_with_ranges(he=([0.95] * 9 + [np.nan], 3), zeros=([0.1] * 10, 5))
    chosen = choose_candidate(found, {"he", "zeros"})
    assert chosen is not None
    assert "over the 9 of 10 seeds that did not diverge" in " ".join(recommendation_words(found, chosen))


def test_what_does_no_better_than_untrained_networks_is_not_recommended() -> None:
    cells = [Cell({"init.name": name}, [0.1] * 8, curve=[0.12, 0.1]) for name in ("zeros", "ones")]
    assert choose_candidate(analyse(study_of(*cells)), {"zeros", "ones"}) is None


def test_torchs_own_may_be_kept() -> None:
    found = study_with_ranges(he=(0.9 + NOISE[0], 1), torch_default=(0.9 + NOISE[1], 5))
    chosen = choose_candidate(found, {"he", "torch_default"})
    assert chosen is not None
    assert "Keep torch's own initialization" in " ".join(recommendation_words(found, chosen))


def test_nothing_learned_nothing_recommended() -> None:
    nan = np.nan
    assert choose_candidate(study_with_ranges(he=([nan] * 3, 5), zeros=([nan] * 3, 5)), {"he"}) is None


def test_a_job_that_is_looked_at_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other seeds than it trains with, its record and its plain data agree."""
    seen: list[Job] = []

    def look_at(job: Job) -> Probe:
        seen.append(job)
        return probe_job(job)

    monkeypatch.setattr(run_recommend, "probe_job", look_at)
    job = make_job("init=he", "seed=7", "seeds=2")
    assert run_recommend._screen(job).outlook == "trainable"
    assert seen[0].seeds == (7, 8, 9)
    assert seen[0].config == parse_config(seen[0].resolved)
    assert job.seeds == (7, 8)


def test_schemes_that_race_keep_their_looks_at_every_rate() -> None:
    job = make_job("seeds=auto", "init=he", config="recommend")
    assert job.looks == 5
    for one in (job, run_recommend.as_torch_does(job)):
        other = run_recommend.with_rate(one, 0.3)
        assert (other.looks, other.seeds) == (5, tuple(range(10)))


def test_what_is_to_know_of_the_network_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "model._target_=tests.sweep.test_unchanged.Deaf activation=tanh init=he,xavier seeds=2 trainer.max_epochs=1 "
        "recommend.rates=2 logger=none report=false"
    )
    assert recommend(command, monkeypatch, tmp_path) == 0
    assert capsys.readouterr().out.count("takes no argument activation") == 1
