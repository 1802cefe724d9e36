"""The schema: what it lets through, and how it refuses the rest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from initlab.base.errors import UserError
from initlab.config.calls import check_call, conforms, describe
from initlab.config.names import LONGEST_NAME, job_name
from initlab.config.schema import parse_config
from tests.helpers import make_job


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [3], [True, 3.0, "3", None]),
        (float, [3, 0.5], [True, "x"]),
        (bool, [True], [1, "true"]),
        (float | None, [None, 1.0], ["x"]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (int | Literal["auto"], ["auto", 2], ["many", 1.5]),
        (Sequence[int], [[1, 2], []], [["a"], 3, "ab", None]),
        (tuple[float, float], [[0.9, 0.99]], [0.9]),
        (dict[str, Any], [{}], [[]]),
        (Path, ["x"], [1]),
        (Any, [1, None, "x"], []),
    ],
)
def test_conforms(hint: object, good: list[object], bad: list[object]) -> None:
    assert all(conforms(value, hint) for value in good)
    assert not any(conforms(value, hint) for value in bad)


def test_describe() -> None:
    assert describe(int | Literal["auto"]) == "a whole number or one of auto"
    assert describe(Sequence[int]) == "a list with a whole number in each place"
    assert describe(float | None) == "a number or null"


def model(input_shape: tuple[int, ...], *, width: int, depth: int = 2) -> None:
    """A stand-in to be called."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 3, "dept": 1}, "model.dept: unknown key; did you mean depth"),
        ({"width": "x"}, "model.width=x: expected a whole number"),
        ({}, "model.width: missing; model needs it"),
        ({"width": 1, "input_shape": [1]}, "model.input_shape: unknown key"),
    ],
)
def test_check_call(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_call(model, given, where="model", supplied=("input_shape",))


def test_job_names() -> None:
    assert job_name([]) == "defaults"
    assert job_name(["optim.lr=0.1", "init=he"]) == "init=he,optim.lr=0.1"
    assert job_name(["init=he", "name=study", "output_dir=/tmp/x", "data.dir=/data"]) == "init=he"
    assert job_name(["init=he", "seeds=3", "seed=100"]) == "init=he"
    long = [f"model.key{k}=value" for k in range(40)]
    assert len(job_name(long)) <= LONGEST_NAME + 9
    assert job_name(long) != job_name([*long, "batch_size=1"])
    assert job_name(["optim.lr=.1", "optim.lr=.2"]) == "optim.lr=.2"  # the last wins, as for Hydra
    odd = job_name(["model._target_=a/b c", "init=he"])
    assert "/" not in odd
    assert odd != job_name(["model._target_=a/b_c", "init=he"])


def test_a_data_set_brings_its_recipe_and_the_command_line_wins() -> None:
    wine, digits = make_job("data=wine"), make_job("data=digits")
    assert (wine.key_columns["model"], wine.key_columns["optim"]) == ("mlp", "sgd")
    assert (digits.key_columns["model"], digits.key_columns["optim"]) == ("cnn", "adam")
    other = make_job("data=digits", "model=mlp", "optim=sgd", "trainer.max_epochs=3", "batch_size=7")
    assert (other.key_columns["model"], other.key_columns["optim"]) == ("mlp", "sgd")
    assert (other.config.trainer.max_epochs, other.config.batch_size) == (3, 7)


def test_experiments_fix_what_their_protocol_says() -> None:
    settings = {
        ("classic_wine", "normal"): {"std": 0.05},
        ("classic_wine", "xavier"): {"gain": 1.0, "truncated": True},
        ("classic_mnist", "normal"): {"std": 0.1},
        ("classic_mnist", "zeros"): {},
    }
    for (experiment, init), parameters in settings.items():
        job = make_job(f"experiment={experiment}", f"init={init}")
        assert job.init.parameters == parameters
        assert (job.init.output is not None) == (experiment == "classic_wine")
    assert make_job("experiment=classic_mnist", "init=he", "init.truncated=false").init.parameters["truncated"] is False
    assert make_job("init=he").init.parameters["truncated"] is False


def test_experiments_with_sequences_fix_what_their_protocol_says() -> None:
    irnn = make_job("experiment=irnn_adding", "init=irnn")
    assert irnn.init.parameters == {"scale": 1.0, "std": 0.1}
    assert make_job("experiment=irnn_adding", "init=irnn", "protocol.irnn.std=0.001").init.parameters["std"] == 0.001
    assert make_job("data=adding", "init=irnn").init.parameters["std"] == 0.001
    assert (irnn.key_columns["data"], irnn.key_columns["model"], irnn.key_columns["optim"]) == ("adding", "rnn", "adam")
    assert (irnn.config.batch_size, irnn.config.gradient_clip, irnn.config.trainer.max_epochs) == (16, 0.1, 8)
    chrono = make_job("experiment=chrono_copy", "init=chrono")
    assert (chrono.key_columns["data"], chrono.key_columns["model"]) == ("copy", "lstm")
    assert chrono.init.parameters["steps"] is None  # the length of the sequences
    assert make_job("experiment=chrono_copy").config.trainer.max_epochs == 8


def test_experiments_on_depth_differ_in_nothing_but_what_they_sweep() -> None:
    post = make_job("experiment=post_norm_depth", "model.norm=post", "model.residual=deepnorm", "init=deepnorm").config
    assert (post.model["name"], post.model["norm"], post.model["residual"]) == ("gpt", "post", "deepnorm")
    assert post.scheduler.get("name", "none") == "none"  # no warm-up
    assert post.gradient_clip is None
    plain = make_job("experiment=zero_branch_depth", "init=zero_branch").config
    assert (plain.model["name"], plain.model["norm"], plain.model["scalars"]) == ("residual_mlp", "none", True)
    assert plain.init["what"] == "last"  # of such a network the multiplier: SkipInit's
    assert plain.gradient_clip is None


def test_the_output_layers_bias_follows_the_others() -> None:
    for overrides, bias in {
        ("init.bias=0.5", "init.output=xavier_uniform"): 0.5,
        ("init=torch_default", "init.output=zeros"): "torch_default",
    }.items():
        output = make_job(*overrides).init.output
        assert output is not None
        assert output.bias == bias


def test_jobs_that_differ_in_init_seeds_and_rate_share_a_program() -> None:
    base = make_job("init=he")
    assert base.program == make_job("init=zeros", "seeds=3", "seed=7", "optim.lr=0.5").program
    for other in ("activation=tanh", "batch_size=8", "optim=adam", "gradient_clip=1.0", "data.split_seed=1"):
        assert base.program != make_job(other).program


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("data=csv", "data.path=rows.csv", "data.target=3", "loss.label_smoothing=0.1"),
        ("optim._target_=torch.optim.RMSprop", "scheduler=cosine", "early_stopping.patience=2"),
        ("model._target_=torch.nn.Linear", "save=best", "init=normal", "init.std=0.5"),
    ],
)
def test_a_jobs_record_is_that_of_its_configuration(overrides: tuple[str, ...]) -> None:
    """Though it is made before what nobody set is left out."""
    job = make_job(*overrides)
    assert job.config == parse_config(job.resolved)
