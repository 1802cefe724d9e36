"""What cannot break its symmetry stays symmetric."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tests.helpers import make_job, train

MLP = ("model=mlp", "model.hidden=[64,64]", "init=zeros")
# Digits whose classes are not equally common, in one batch, so that the biases come to the classes' shares.
ONE_SPLIT = ("data.resplit=false", "data.val_fraction=0", "data.stratify=false")
DIGITS = ("data=digits", *ONE_SPLIT, "batch_size=2000", "trainer.max_epochs=60")


@pytest.fixture(scope="module")
def commonest_share() -> float:
    """The share of the test rows that show the digit which is commonest in training, by scikit-learn alone."""
    _, labels = load_digits(return_X_y=True)
    known, asked = (part.tolist() for part in train_test_split(labels, test_size=0.2, random_state=42))
    (commonest, count), (_, second) = Counter(known).most_common(2)
    assert count > second  # or it would be anyone's guess
    assert Counter(asked).most_common(1)[0][0] != commonest  # it is learned from the training rows
    return float(asked.count(commonest) / len(asked))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["relu", "tanh", pytest.param("gelu", marks=pytest.mark.slow)])
def test_zero_weights_never_move(activation: str, optimizer: str, commonest_share: float) -> None:
    """Not even under ReLU: without signal there is no gradient, and only the output's bias learns."""
    job = make_job(*DIGITS, *MLP, "seeds=2", f"activation={activation}", f"optim={optimizer}", "optim.lr=0.1")
    module = train(job)
    (score,) = [row.values["score"].tolist() for row in module.history if row.split == "test"]
    assert score == [commonest_share] * 2
    for name, stacked in module.stack.parameters.items():
        assert bool((stacked != 0).any()) == (name == "output.bias"), name


@pytest.mark.slow
def test_zero_weights_know_of_mnist_how_common_its_ones_are(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(real_data))
    mnist = ("data=mnist", "data.val_fraction=0", "batch_size=512", "trainer.max_epochs=1")
    module = train(make_job(*mnist, *MLP, "seeds=2", "activation=relu", "optim=sgd"))
    assert module.history[-1].values["score"].tolist() == [0.1135] * 2


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
def test_zero_weights_stay_of_rank_one_where_the_activation_is_not_zero(activation: str) -> None:
    job = make_job(
        "data=digits", *MLP, "seeds=1", "optim=sgd", "optim.lr=0.5", f"activation={activation}",
        "trainer.max_epochs=20", "batch_size=64",
    )  # fmt: skip
    module = train(job)
    for name in ("hidden.0.weight", "hidden.1.weight"):
        weight = module.stack.parameters[name][0].detach()
        singular = torch.linalg.svdvals(weight)
        assert singular[0] > 1e-3, name
        assert singular[1] < 1e-4 * singular[0], name


def test_constant_weights_keep_all_hidden_units_identical() -> None:
    module = train(make_job("init=constant", "init.value=0.01", "seeds=2", "model.hidden=[32,32]"))
    weights = module.stack.parameters
    for name in ("hidden.0.weight", "hidden.1.weight"):
        units = weights[name][0].detach()
        assert not torch.allclose(units[0], torch.full_like(units[0], 0.01), atol=1e-4)  # it did learn
        torch.testing.assert_close(units, units[:1].expand_as(units))


def test_random_weights_do_not() -> None:
    units = train(make_job("init=he", "seeds=2")).stack.parameters["hidden.0.weight"][0].detach()
    assert torch.linalg.matrix_rank(units) == 13
