"""Mistakes in what is trained, and how: one line each, before anything trains."""

from pathlib import Path

import pytest

from tests.helpers import run

TORCH = "scheduler._target_=torch.optim.lr_scheduler."
BAD_INPUT = {
    "loss=mea": "loss=mea: unknown loss; did you mean mse or mae",
    "data=teacher loss=hinge": "loss=hinge: is for classes, and the data has numbers to fit; known: mse, mae, huber",
    "data=teacher loss.label_smoothing=0.1": "loss.label_smoothing=0.1: is for classes",
    "loss.label_smoothing=2": "loss.label_smoothing=2: expected a share in [0, 1)",
    "loss.class_weights=rare": "loss.class_weights=rare: expected balanced, or a list with a number for each class",
    "loss.class_weights=[1,2]": "loss.class_weights=[1,2]: expected 3 positive numbers, one for each class",
    "loss=mse loss.label_smoothing=0.1": "loss.label_smoothing: unknown key",
    "loss=huber loss.delta=0": "loss.delta=0: expected a positive number",
    "loss._target_=nowhere.loss": "loss._target_=nowhere.loss: cannot import it",
    "loss._target_=torch.nn.MultiMarginLoss +loss.p=3": "loss._target_=torch.nn.MultiMarginLoss: ValueError",
    "loss._target_=torch.nn.MultiMarginLoss +loss.q=3": "loss.q: unknown key of loss._target_=torch.nn.MultiMargin",
    "loss._target_=torch.nn.MultiMarginLoss loss.margin=3": (
        "loss.margin: unknown key; write +loss.margin=3 to give it to loss._target_=torch.nn.MultiMarginLoss"
    ),
    "loss._target_=torch.nn.MultiMarginLoss +loss.p=2 loss.class_weights=balanced": (
        "loss.class_weights: unknown key of loss._target_=torch.nn.MultiMarginLoss; did you mean weight?"
    ),
    "loss._target_=torch.nn.CrossEntropyLoss +loss.label_smoothing=0.2": (
        "+loss.label_smoothing=0.2: loss.label_smoothing is there already; write loss.label_smoothing=0.2, without"
    ),
    "loss._target_=tests.cohort.own_losses.of_outputs": "expected one loss, or one for each of 4 rows, got (3,)",
    "loss._target_=own_loss.Broken": "ZeroDivisionError: division by zero (own_loss.py, line 2, in <module>)",
    "loss._target_=builtins.max": "loss._target_=builtins.max: ",
    "scheduler=cosin": "scheduler=cosin: unknown scheduler; did you mean cosine",
    "scheduler=cosine scheduler.warmup=50": "warmup=50: expected fewer epochs than the 30 of the training",
    "scheduler=step scheduler.every=0": "every=0: expected a whole number of epochs of at least 1",
    f"{TORCH}StepLR": "scheduler.step_size: missing; StepLR needs it",
    f"{TORCH}StepLR +scheduler.size=3": "scheduler.size: unknown key; did you mean step_size",
    f"{TORCH}Nothing": "scheduler._target_=torch.optim.lr_scheduler.Nothing: cannot import it",
    f"{TORCH}StepLR +scheduler.step_size=3 scheduler.interval=hour": "scheduler.interval=hour: expected step or epoch",
    "early_stopping.patience=0": "early_stopping.patience=0: expected epochs, at least 1, or null for never",
    "early_stopping.patience=many": "early_stopping.patience=many: expected a whole number or null",
    "early_stopping.metric=accuracy": "early_stopping.metric=accuracy: expected one of loss, score",
    "optim.decay=some": "optim.decay=some: expected all, or weights to spare biases and norms",
    "save=some": "save=some: expected one of none, best, all",
}


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_line_before_anything_trains(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_loss.py").write_text("# a loss\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(command, monkeypatch, tmp_path) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("initlab: ")
    assert BAD_INPUT[command] in said.err
    assert not list(tmp_path.rglob("*.parquet"))
