"""A sweep as TensorBoard shows it, asked of a real server."""

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from initlab.figures.style import save_png
from initlab.results.differences import flat_config
from initlab.results.study import Study, read_study
from initlab.results.summary import summarize
from initlab.tables.store import read_table
from initlab.tracking.dashboard import FOLDER, has_logs, write_dashboard
from initlab.tracking.hyperparameters import experiment, hyperparameters
from tests.helpers import make_job, run

PAIRS = [(data, init) for data in ("teacher", "wine") for init in ("he", "zeros")]
JOBS = [f"data={data},init={init}" for data, init in PAIRS]


@dataclass(frozen=True)
class Server:
    """A TensorBoard server, and the sweep that it shows."""

    address: str
    study: Path

    def get(self, path: str, body: object = None, **query: str) -> Any:
        """What it answers, as JSON where it is JSON."""
        url = f"{self.address}/data/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
            return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def members(self, job: str) -> pd.DataFrame:
        """A job's members table."""
        return read_table(self.study / job, "members")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four jobs, scored by accuracy and by R²; one of them trained twice."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        assert run("-m init=he data=wine seeds=3 trainer.max_epochs=2 name=study n_jobs=1", patch, folder) == 0
        command = "-m init=zeros,he data=wine,teacher seeds=3 trainer.max_epochs=2 name=study n_jobs=1"
        assert run(f"{command} report=true", patch, folder) == 0
    return folder / "outputs" / "study"


@pytest.fixture(scope="module")
def server(study: Path) -> Iterator[Server]:
    """A server on this machine that has read the sweep."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(study), "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}", study)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if len(server.get("plugin/text/tags")) == 5:
                    break
            except urllib.error.URLError:
                assert process.poll() is None
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_runs_are_called_as_the_jobs(server: Server) -> None:
    assert sorted(server.get("runs")) == sorted([FOLDER, *JOBS])


def test_scalars_have_their_intervals(server: Server) -> None:
    history = read_table(server.study / JOBS[0], "history")
    val = history[(history["split"] == "val")].groupby("epoch")["loss"]
    expected = {"mean": val.mean()}
    intervals = val.apply(lambda losses: tuple(scipy.stats.ttest_1samp(losses, 0).confidence_interval(0.95)))
    expected |= {"low": intervals.str[0], "high": intervals.str[1]}
    for end, values in expected.items():
        logged = server.get("plugin/scalars/scalars", run=JOBS[0], tag=f"val_loss/{end}")
        assert [step for _, step, _ in logged] == [0, 1, 2]
        np.testing.assert_allclose([value for _, _, value in logged], values.to_numpy(np.float64), rtol=1e-5)


def test_custom_scalars_compare_all_jobs(server: Server) -> None:
    (category,) = server.get("plugin/custom_scalars/layout")["category"]
    charts = {chart["title"]: chart["margin"]["series"] for chart in category["chart"]}
    shown = {"validation accuracy", "validation R²", "validation loss", "training loss", "gradient norm"}
    assert set(charts) == shown
    assert charts["validation loss"] == [{"value": "val_loss/mean", "lower": "val_loss/low", "upper": "val_loss/high"}]
    tags = server.get("plugin/scalars/tags")
    for title, (series,) in charts.items():
        having = {job for job in JOBS if set(series.values()) <= set(tags[job])}
        part = {"validation accuracy": "wine", "validation R²": "teacher"}.get(title, "")
        assert having == {job for job in JOBS if part in job}, title


def session_groups(server: Server, *columns: dict[str, Any]) -> list[dict[str, Any]]:
    question = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": list(columns),
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups: list[dict[str, Any]] = server.get("plugin/hparams/session_groups", question)["sessionGroups"]
    return groups


def test_hparams_have_all_jobs_columns(server: Server) -> None:
    """Those of any job, with the ones that tell the jobs apart in front."""
    found = server.get("plugin/hparams/experiment", {"experimentName": "", "includeMetrics": True})
    infos = {info["name"]: info for info in found["hparamInfos"]}
    assert list(infos)[:2] == ["data", "init"]
    assert infos["data"]["domainDiscrete"] == ["teacher", "wine"]
    assert infos["init"]["domainDiscrete"] == ["he_normal", "zeros"]
    of_some = {"init.gain", "data.noise", "data.stratify"}  # no job has them all
    assert of_some < set(infos)
    assert infos["data.stratify"]["type"] == "DATA_TYPE_BOOL"
    assert infos["init.gain"]["type"] == "DATA_TYPE_FLOAT64"
    assert [name for name, info in infos.items() if info["differs"]] == ["data", "init"]
    for group in session_groups(server, *({"hparam": name} for name in infos)):
        assert set(group["hparams"]) <= set(infos)
    names = {metric["name"]["tag"]: metric["displayName"] for metric in found["metricInfos"]}
    assert {"test accuracy", "test R²", "test loss", "best validation R²", "diverged"} <= set(names.values())
    assert names["final/test_r2"] == "test R²"


@pytest.mark.parametrize("column", ["test_loss", "val_loss", "train_loss", "auc"])
def test_hparams_are_sorted_by_a_metric(column: str, server: Server) -> None:
    expected = {job: server.members(job)[column].mean() for job in JOBS}
    tag = {"group": "", "tag": f"final/{column}"}
    groups = session_groups(server, {"hparam": "init"}, {"metric": tag, "order": "ORDER_ASC"})
    assert [group["name"] for group in groups] == sorted(JOBS, key=lambda job: expected[job])
    for group in groups:
        (metric,) = (value for value in group["metricValues"] if value["name"]["tag"] == f"final/{column}")
        assert metric["value"] == pytest.approx(expected[group["name"]], rel=1e-5)


def test_hparams_may_be_chosen(server: Server) -> None:
    groups = session_groups(server, {"hparam": "init", "filterDiscrete": ["zeros"]}, {"hparam": "data"})
    assert sorted(group["name"] for group in groups) == [job for job in JOBS if "zeros" in job]


def test_the_figures_are_images(server: Server) -> None:
    tags = server.get("plugin/images/tags")
    assert set(tags[FOLDER]) == {path.stem for path in (server.study / "figures").glob("*.png")}
    (sample,) = server.get("plugin/images/images", run=FOLDER, tag="curves", sample="0")
    content = server.get("plugin/images/individualImage", **dict(urllib.parse.parse_qsl(sample["query"])))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width > 500
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50
    assert content == (server.study / "figures" / "curves.png").read_bytes()  # nothing is drawn once more


def test_the_summary_is_text(server: Server) -> None:
    (event,) = server.get("plugin/text/text", run=FOLDER, tag="all jobs/text_summary")
    rows = re.findall(r"<tr>(.*?)</tr>", event["text"], re.DOTALL)
    assert len(rows) == 7  # a heading, four jobs, and the commonest class of each data set
    score = server.members(JOBS[2])["test_score"].mean()
    assert [row for row in rows if "wine" in row and "he_normal" in row and f"{score:.3f}" in row]
    (config,) = server.get("plugin/text/text", run=JOBS[0], tag="config/text_summary")
    assert "max_epochs: 2" in config["text"]


def test_it_is_written_in_place_of_a_former_one(study: Path) -> None:
    assert len(list((study / FOLDER).iterdir())) == 1  # of two commands
    found = read_study(study)
    assert set(found.configs) == set(JOBS)


def test_one_job_alone_is_shown(study: Path) -> None:
    """Without a sweep's run beside it: from what the job itself has logged."""
    multiplexer = EventMultiplexer({JOBS[0]: str(study / JOBS[0])})
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(study))
    context = Context(TBContext(data_provider=provider, multiplexer=multiplexer, logdir=str(study)))
    request = RequestContext()
    found = context.experiment_from_metadata(request, "", True, context.hparams_metadata(request, ""), [])
    assert {"init", "data", "optim.lr"} <= {info.name for info in found.hparam_infos}
    assert {"final/test_r2", "final/test_loss"} <= {metric.name.tag for metric in found.metric_infos}


def test_the_comparison_of_all_jobs_is_no_log_of_a_job(study: Path, tmp_path: Path) -> None:
    assert has_logs(study)
    shutil.copytree(study / FOLDER, tmp_path / FOLDER)
    assert not has_logs(tmp_path)


def test_hyperparameters_are_what_decides_results() -> None:
    found = hyperparameters(flat_config(make_job("init=he", "gradient_clip=null").resolved))
    assert found["init"] == "he_normal"
    assert found["model.bias"] is True
    assert found["optim.lr"] == pytest.approx(0.05)
    assert not {"gradient_clip", "output_dir", "n_jobs", "data.dir", "trainer._target_", "init.name"} & set(found)


def test_values_of_several_kinds_are_one_column() -> None:
    record = experiment(
        [{"gain": 2.0, "bias": True}, {"gain": "moment", "bias": False}, {"gain": 1}],
        differing=["gain"], metrics=["accuracy"],
    )  # fmt: skip
    content = record.value[0].metadata.plugin_data.content
    from tensorboard.plugins.hparams import api_pb2, metadata

    gain, bias = metadata.parse_experiment_plugin_data(content).hparam_infos
    assert (gain.type, bias.type) == (api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_BOOL)
    assert list(gain.domain_discrete) == [1, 2, "moment"]
    assert (gain.differs, bias.differs) == (True, False)
    assert not len(bias.domain_discrete)


def test_a_thousand_jobs_take_no_time(study: Path, tmp_path: Path) -> None:
    found = read_study(study)
    summary = summarize(found)
    config = found.configs[JOBS[0]]
    configs = {f"job{number}": {**config, "optim.lr": number / 1000} for number in range(1000)}
    many = Study(found.members, found.history, found.differing.assign(**{"optim.lr": 0.1}), configs)
    save_png(Figure(), tmp_path / "empty.png")
    figures = {"empty": (tmp_path / "empty.png").read_bytes()}
    started = time.perf_counter()
    write_dashboard(tmp_path, many, summary, figures, "nothing")
    assert time.perf_counter() - started < 5
    events = EventAccumulator(str(tmp_path / FOLDER))
    events.Reload()
    (picture,) = events.Images("empty")
    assert (picture.width, picture.height) == (960, 720)  # 6.4 × 4.8 inches
