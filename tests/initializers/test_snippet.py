"""The code that a recommendation offers to paste does what the job did: it is run, and the weights are the same."""

from typing import Any

import pytest
import torch

import initlab
from initlab.activations import ACTIVATIONS, Activation
from initlab.config.defaults import NAMED_GAINS
from initlab.initializers import find_scheme, list_initializers, register
from initlab.initializers.snippet import code_for, words_on_batch
from initlab.jobs.filling import batch_for
from initlab.jobs.job import Job
from initlab.modules.batch import Batch
from tests.helpers import make_job
from tests.initializers.networks import is_special

SMALL = ("model.hidden=[8,8]", "seeds=1", "init_rows=64")
BESIDE = {"mup": ["init.base_width=4"], "dropout_adjusted": ["model.dropout=0.3"]}
# What a user may set beside the defaults, for each scheme that has parameters.
PARAMETERS = {
    "constant": ["init.value=0.3"],
    "normal": ["init.std=0.1"],
    "uniform": ["init.bound=0.3"],
    "trunc_normal": ["init.std=0.1", "init.cut=1.5"],
    "variance_scaling": ["init.scale=0.5", "init.mode=fan_avg", "init.distribution=uniform"],
    "he_normal": ["init.mode=fan_out", "init.truncated=true"],
    "orthogonal": ["init.gain=0.7"],
    "sparse": ["init.sparsity=0.4", "init.per=unit"],
    "siren": ["init.omega=10"],
    "mean_field": ["init.sigma_b=0.3", "init.sigma_w=1.4"],
    "lsuv": ["init.tolerance=0.05", "init.tries=3"],
    "data_dependent": ["init.balance=false"],
    "metainit": ["init.steps=3", "init.lr=0.05"],
    "gradinit": ["init.steps=3", "init.optimizer=adam"],
    "nguyen_widrow": ["init.scale=0.5"],
    "vi3nr": ["init.sigma_p=0.5", "init.input_rms=2", "init.distribution=normal"],
    "spectral": ["init.gain=0.7"],
    "dropout_adjusted": ["init.p=0.3"],
    "output_prior": ["init.shares=[1,2,3]", "init.weights=base"],
}


def code_of(job: Job) -> str:
    return code_for(job.resolved["init"], job.activation)


def assert_same_weights(job: Job) -> str:
    """Run the code on a network as its constructor left it, against the job's own first member; return the code."""
    member = job.members()[0]
    counted = "classes" in find_scheme(member.init.scheme).needs
    rows = job.dataset_for(member.seed).train
    looked_at = batch_for(member, job.data, job.config.init_rows) or job.rows_to_look_at()
    batch = Batch(rows.inputs, rows.targets) if counted else looked_at
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(member.seed)
        model = job.network.build()
    names: dict[str, Any] = {"model": model, "inputs": batch.inputs, "targets": batch.targets}
    exec(code_of(job), {**names, "loss": torch.nn.functional.cross_entropy})
    expected = job.build_member(member).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=f"{name} differs")
    return code_of(job)


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (["init=he"], 'initlab.initialize(model, "he_normal", seed=0)'),
        (
            ["init=he", "init.gain=moment", "activation=gelu"],
            "initlab.initialize(model, \"he_normal\", gain='moment', activation='gelu', seed=0)",
        ),
        (["init=normal", "init.std=0.1"], 'initlab.initialize(model, "normal", std=0.1, seed=0)'),
        (["init=lsuv"], 'initlab.initialize(model, "lsuv", batch=inputs, seed=0)'),
        (
            ["init=metainit", "init.output=zeros"],
            "initlab.initialize(model, \"metainit\", output='zeros', batch=(inputs, targets), loss=loss, seed=0)",
        ),
        (
            ["init=he", "init.gain=kaiming", "activation=leaky_relu", "activation.negative_slope=0.2"],
            "initlab.initialize(model, \"he_normal\", gain='kaiming', "
            "activation=Activation('leaky_relu', {'negative_slope': 0.2}), seed=0)",
        ),
    ],
)
def test_the_code_is_short(overrides: list[str], code: str) -> None:
    first, *middle, last = code_of(make_job(*overrides)).splitlines()
    assert (first, last) == ("import initlab", code)
    assert middle == (["from initlab.activations import Activation"] if "Activation(" in code else [])


RECURRENT = ("data=function", "data.call=tests.models.helpers.walks", "model=lstm", "model.width=8", "seeds=1")


TRANSFORMER = ("data=digits", "model=vit", "model.width=16", "model.depth=2", "seeds=1")
NORMS = {
    "deepnorm": ("model.norm=post", "model.residual=deepnorm"),
    "admin": ("model.norm=post", "model.residual=admin"),
    "subln": ("model.norm=sub",),
    "t_fixup": ("model.norm=none",),
}


@pytest.mark.parametrize("scheme", sorted(set(list_initializers()) - {"pretrained", "weight_selection", "icnr"}))
def test_every_scheme(scheme: str) -> None:
    needs = set(list_initializers()[scheme].needs)
    network: tuple[str, ...] = ("activation=relu" if is_special(scheme) else "activation=tanh", *SMALL)
    if {"recurrent", "gates"} & needs:
        network = ("activation=relu", *RECURRENT)
    elif {"branches", "attention"} & needs:
        network = ("activation=relu", *TRANSFORMER, *NORMS.get(scheme, ()))
    code = assert_same_weights(make_job(f"init={scheme}", *network, *BESIDE.get(scheme, ())))
    if scheme == "chrono":
        assert "batch=inputs" in code  # which tell how long sequences are
        assert words_on_batch({"name": scheme}, {}, {}).startswith("Here inputs are rows")
        assert "batch=" not in code_of(make_job("init=chrono", "init.steps=9", *RECURRENT))


@pytest.mark.parametrize("scheme", PARAMETERS)
def test_parameters(scheme: str) -> None:
    """Each of them stands in the code, and the weights are other than by default."""
    code = assert_same_weights(make_job(f"init={scheme}", *PARAMETERS[scheme], "activation=tanh", *SMALL))
    for override in PARAMETERS[scheme]:
        assert f"{override.removeprefix('init.').split('=')[0]}=" in code


@pytest.mark.parametrize("gain", [*NAMED_GAINS, "1.3"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu activation.negative_slope=0.3", "tanh", "selu"])
def test_gains(activation: str, gain: str) -> None:
    assert_same_weights(make_job("init=he", f"init.gain={gain}", *f"activation={activation}".split(), *SMALL))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations(activation: str) -> None:
    assert_same_weights(make_job("init=xavier", "init.gain=moment", f"activation={activation}", *SMALL))


@pytest.mark.parametrize(
    "output",
    [
        ["init.output=zeros"],
        ["init.output={name: he_normal, gain: derivative}"],
        ["init.output={name: normal, std: 0.02}", "init.bias=0.1"],
        ["init.output={name: uniform, bound: 0.2}", "init.output_layer=hidden.0", "init.bias=torch_default"],
        ["init.output=mean_field"],
    ],
)
@pytest.mark.parametrize("scheme", ["he", "lsuv"])
def test_outputs(scheme: str, output: list[str]) -> None:
    assert_same_weights(make_job(f"init={scheme}", *output, "activation=tanh", *SMALL))


@pytest.mark.parametrize("base", ["init.base=xavier", "init.base={name: he_normal, gain: moment}"])
def test_bases(base: str) -> None:
    assert_same_weights(make_job("init=lsuv", base, "activation=tanh", *SMALL))


def test_a_network_of_two_activations_takes_the_code() -> None:
    """Of which `initialize` could not tell the activation by itself."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4), torch.nn.Tanh())
    for gain in NAMED_GAINS:
        exec(code_of(make_job("init=he", f"init.gain={gain}", "activation=tanh")), {"model": model})
        assert initlab.initialize(model, "he", gain=gain, activation="tanh", seed=0)["0.weight"].gain is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["init=he"], ""),
        (["init=lsuv"], "Here inputs are rows to train on, a float32 tensor, standardized as in the study."),
        (["init=lsuv", "data.standardize=false"], "Here inputs are rows to train on, a float32 tensor."),
        (["init=output_prior", "init.shares=[1,2,3]"], ""),
        (["init=dropout_adjusted", "init.p=0.5"], ""),
        (
            ["init=dropout_adjusted"],
            "Here inputs are rows to train on, a float32 tensor, standardized as in the study.",
        ),
        (
            ["init=gradinit", "loss=hinge"],
            "Here inputs are rows to train on, a float32 tensor, standardized as in the study; targets are theirs, and "
            "loss(outputs, targets) is a scalar: in the study the mean of hinge.",
        ),
        (
            ["init=metainit"],
            "Here inputs are rows to train on, a float32 tensor, standardized as in the study; targets are theirs, and "
            "loss(outputs, targets) is a scalar: in the study the mean of cross entropy for classes, the squared error "
            "for numbers.",
        ),
    ],
)
def test_what_the_code_names_is_explained(settings: list[str], words: str) -> None:
    job = make_job(*settings)
    assert words_on_batch(job.resolved["init"], job.resolved["data"], job.resolved.get("loss", {})) == words
    if words:
        assert job.dataset.train.inputs.dtype == torch.float32
        moments = job.dataset.train.inputs.mean(0).abs().max(), (job.dataset.train.inputs.var(0) - 1).abs().max()
        assert (max(moments) < 0.02) == ("standardized" in words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("text data.max_characters=3000", "Here inputs are rows to train on, a tensor of whole numbers."),
        ("copy data.rows=100", "Here inputs are rows to train on, a tensor of whole numbers."),
        ("recall data.rows=100", "Here inputs are rows to train on, a tensor of whole numbers."),
        ("parity data.rows=100 data.tokens=true", "Here inputs are rows to train on, a tensor of whole numbers."),
        ("adding data.rows=100", "Here inputs are rows to train on, a float32 tensor."),
        ("parity data.rows=100", "Here inputs are rows to train on, a float32 tensor."),
    ],
)
def test_sequences_are_as_their_data_say(data: str, words: str) -> None:
    job = make_job("init=lsuv", *f"data={data}".split())
    assert words_on_batch(job.resolved["init"], job.resolved["data"], {}) == words
    assert (job.dataset.train.inputs.dtype == torch.float32) == ("float32" in words)


def test_classes_that_are_counted_are_those_of_all_rows() -> None:
    said = "Here targets are the classes of all rows to train on, which are counted; inputs and loss are any."
    assert words_on_batch({"name": "output_prior"}, {}, {}) == said


def test_a_scheme_of_ones_own_is_imported_first() -> None:
    @register("mine", source="none")
    def mine(weight: torch.Tensor) -> None:
        """Nothing at all."""
        weight.zero_()

    assert code_for({"name": "mine"}, Activation("relu")).splitlines() == [
        "import initlab",
        "import tests.initializers.test_snippet  # registers mine",
        'initlab.initialize(model, "mine", seed=0)',
    ]
