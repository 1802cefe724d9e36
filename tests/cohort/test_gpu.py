"""On a GPU."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.module import CohortModule
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.jobs.share import Share
from tests.helpers import make_job, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SHORT = ("init=he", "trainer.accelerator=cuda", "trainer.max_epochs=2", "seeds=3")
SMALL = {
    "mlp": ("model.hidden=[6]",),
    "compiled": ("model.hidden=[6]", "compile=true"),
    "compiled dropout": ("model.hidden=[6]", "compile=true", "model.dropout=0.2"),
    "dropout": ("model.hidden=[6]", "model.dropout=0.2"),
    "cnn": ("data=digits", "model=cnn"),
    "cnn in a loop": ("data=digits", "model=cnn", "engine=loop"),
    "resnet": ("data=digits", "model=resnet", "model.width=4", "model.blocks=[1,1]"),
    "resnet in 16 bits": (
        *("data=digits", "model=resnet", "model.width=4", "model.blocks=[1,1]"),
        "trainer.precision=bf16-mixed",
    ),
    "vit": ("data=digits", "model=vit", "model.width=8", "model.depth=1", "model.heads=2"),
    "lstm": ("data=adding", "data.steps=5", "data.rows=300", "model=lstm", "model.width=4"),
    "gpt": ("data=recall", "model=gpt", "model.width=8", "model.depth=1"),
    "gpt in a loop": ("data=recall", "model=gpt", "model.width=8", "model.depth=1", "engine=loop"),
}


def trained(*options: str) -> CohortModule:
    return train(make_job(*SHORT, *options))


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seeds_give_the_same_bits(name: str) -> None:
    one, other = trained(*SMALL[name]), trained(*SMALL[name])
    assert one.compiled == ("compiled" in name)
    for parameter, again in zip(one.parameter_stack, other.parameter_stack, strict=True):
        assert torch.equal(parameter, again)
    assert one.history[-1].values["loss"].isfinite().all()


@pytest.mark.parametrize("name", [name for name in SMALL if "dropout" not in name and name != "compiled"])
def test_members_become_what_they_become_on_a_cpu(name: str) -> None:
    """In 64 bits: in fewer, sums in another order become other networks within two epochs, where units switch off."""
    double = () if "16 bits" in name else ("trainer.precision=64-true",)
    rtol, atol = (1e-6, 1e-8) if double else (0.1, 0.02)
    gpu, cpu = (
        train(make_job(*SHORT, *SMALL[name], *double, f"trainer.accelerator={device}", "compile=false"))
        for device in ("cuda", "cpu")
    )
    for one, other in zip(gpu.history, cpu.history, strict=True):
        torch.testing.assert_close(one.values["loss"], other.values["loss"], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", ["compiled", "compiled dropout", "dropout", "cnn"])
def test_a_killed_one_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    share = Share(job := make_job(*SHORT, *SMALL[name], "trainer.max_epochs=4"), job.seeds)

    class Killed(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if trainer.current_epoch == 2:
                raise RuntimeError("killed")

    whole = train_cohort([share], build_networks(share))
    checkpoint = Checkpoint(tmp_path / "checkpoint.ckpt", 0)
    with pytest.raises(RuntimeError, match="killed"):
        train_cohort([share], build_networks(share), [Killed()], checkpoint=checkpoint)
    resumed = train_cohort([share], build_networks(share), checkpoint=Checkpoint(tmp_path / "checkpoint.ckpt", 0))
    columns = ["train_loss", "val_loss", "test_loss", "test_score"]
    assert resumed.members[columns].equals(whole.members[columns])
