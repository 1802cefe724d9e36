"""What jobs are compared by in TensorBoard's HParams tab and in other trackers: hyperparameters and final metrics."""

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from initlab.config.names import NOT_IDENTITY, SEEDS
from initlab.results.differences import NAMES
from initlab.tables.schema import METRICS

Value = str | bool | float

# Columns of the members table of which a job's mean is a final metric, and how a reader sees them.
FINAL: Mapping[str, str] = MappingProxyType(
    {
        "test_score": "test {score}",
        "test_loss": "test loss",
        "best_val_score": "best validation {score}",
        "val_loss": "validation loss",
        "train_loss": "training loss",
        "auc": "area under the validation curve",
    }
)
DIVERGED = "final/diverged"
MOST_CHOICES = 9  # TensorBoard's: boxes to tick for one hyperparameter
# Keys that neither say what is trained, and over how many seeds, nor how well it does.
NOT_SHOWN = NOT_IDENTITY - SEEDS | {"engine", "signal", "trainer.accelerator"}


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Value]:
    """The keys of a job's flat configuration that decide its results; `init` stands for `init.name`, null is left out.

    Args:
        config: Keys such as `optim.lr`, as `flat_config` makes them.
    """
    return {
        key.removesuffix(".name") if key in NAMES else key: value
        for key, value in config.items()
        if value is not None and not {key, key.partition(".")[0]} & NOT_SHOWN and key.rpartition(".")[2] != "_target_"
    }


def final_metrics(members: pd.DataFrame) -> dict[str, float]:
    """A job's final metrics by their tags: means over the members that did not diverge, and how many did.

    A mean is absent where it is not finite, as where no member is left.

    Args:
        members: The job's members table, a row a member, with the columns of `schema.MEMBERS`.
    """
    finished = (members["status"] == "finished").to_numpy()
    metric = str(members["metric"].iloc[0])
    means = {_final_tag(name, metric): members[name].to_numpy(np.float64)[finished] for name in FINAL}
    final = {tag: float(values.mean()) for tag, values in means.items() if len(values) and np.isfinite(values).all()}
    return final | {DIVERGED: float((~finished).sum())}


def _final_tag(column: str, metric: str) -> str:
    """The tag that the mean of a column of the members table is logged under: `final/test_accuracy`."""
    return f"final/{column.replace('score', metric)}"


def session_start(parameters: Mapping[str, Value]) -> Summary:
    """The record by which TensorBoard takes a run for a job with these hyperparameters."""
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in parameters.items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(info.hparams[name], f"{kind}_value", value)
    return _summary(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def session_end() -> Summary:
    """The record that a job was finished."""
    info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def experiment(jobs: Iterable[Mapping[str, Value]], *, differing: Iterable[str], metrics: Iterable[str]) -> Summary:
    """The record that tells TensorBoard which columns there are; of several it uses the first that it finds.

    Args:
        jobs: The hyperparameters of each job, as `hyperparameters` returns them.
        differing: Keys that tell the jobs apart; they are shown first, with their values to choose from.
        metrics: What the jobs' scores are, names of `schema.METRICS`.
    """
    values: dict[str, dict[str, Value]] = {}  # distinct ones, by their text: True is 1 to a set
    for job in jobs:
        for name, value in job.items():
            values.setdefault(name, {})[repr(value)] = value
    told_apart = [name for name in differing if name in values]
    infos = [_hparam_info(name, list(values[name].values()), differs=True) for name in told_apart]
    infos += [_hparam_info(name, list(found.values())) for name, found in values.items() if name not in told_apart]
    shown = {
        _final_tag(column, metric): text.format(score=METRICS[metric])
        for metric in metrics
        for column, text in FINAL.items()
    } | {DIVERGED: "diverged"}
    return _summary(
        metadata.EXPERIMENT_TAG,
        experiment=api_pb2.Experiment(
            time_created_secs=time.time(),
            hparam_infos=infos,
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=text) for tag, text in shown.items()
            ],
        ),
    )


def _hparam_info(name: str, values: list[Value], *, differs: bool = False) -> Any:
    """A column. One that tells jobs apart offers its values to choose from.

    Others do not: a choice among their values would hide the jobs of another study that is shown beside this one.
    """
    kinds = {"bool" if isinstance(value, bool) else "str" if isinstance(value, str) else "number" for value in values}
    types = {"bool": api_pb2.DATA_TYPE_BOOL, "number": api_pb2.DATA_TYPE_FLOAT64}
    kind = types.get(kinds.pop(), api_pb2.DATA_TYPE_STRING) if len(kinds) == 1 else api_pb2.DATA_TYPE_STRING
    info = api_pb2.HParamInfo(name=name, type=kind, differs=differs)
    if differs and len(values) <= MOST_CHOICES:
        info.domain_discrete.extend(sorted(values, key=lambda value: (isinstance(value, str), value)))
    return info


def _summary(tag: str, **record: Any) -> Summary:
    content = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**record))
    return Summary(value=[Summary.Value(tag=tag, metadata=content, tensor=metadata.NULL_TENSOR)])
