"""Weights from files: whole, damaged, malicious, and of other networks."""

import io
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from initlab.base.errors import UserError
from tests.helpers import linear
from tests.initializers.networks import chain, convolutional, images, refine


def test_from_both_formats(tmp_path: Path) -> None:
    source, target = convolutional(), convolutional()
    source(images())  # running statistics are part of it
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    torch.save(source.state_dict(), tmp_path / "a.pt")
    torch.save({"state_dict": {f"net.{k}": v for k, v in source.state_dict().items()}, "epoch": 3}, tmp_path / "l.ckpt")
    for name, prefix in (("a.safetensors", ""), ("a.pt", ""), ("l.ckpt", "net.")):
        report = refine(target, "pretrained", None, path=str(tmp_path / name), prefix=prefix)
        for key, value in source.state_dict().items():
            assert torch.equal(target.state_dict()[key], value)
        assert report["0.weight"].note == f"from {name}" + (", under 'state_dict'" if prefix else "")


def test_the_output_layer_may_be_new(tmp_path: Path) -> None:
    source, target = chain(), chain()
    target[4] = nn.Linear(256, 3).double()
    torch.save(source.state_dict(), tmp_path / "a.pt")
    refine(target, "pretrained", None, path=str(tmp_path / "a.pt"), output="ones")
    assert bool((linear(target, 4).weight == 1).all())
    assert torch.equal(linear(target, 2).weight, linear(source, 2).weight)


def test_a_network_of_nothing_but_its_output_layer(tmp_path: Path) -> None:
    """Where that has a rule of its own nothing is left to load, and no prefix would help."""
    torch.save({"other.weight": torch.zeros(3, 4)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"does not fit Sequential: 1 unknown \(other.weight\)$"):
        refine(nn.Sequential(nn.Linear(4, 3)), "pretrained", None, path=str(tmp_path / "a.pt"), output="ones")


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = chain().state_dict()
    del state["2.bias"]
    state["0.weight"] = state["0.weight"][:3]
    state["7.weight"] = state["0.weight"]
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(UserError) as error:
        refine(chain(), "pretrained", None, path=str(tmp_path / "a.pt"))
    assert str(error.value).endswith(
        "does not fit Sequential: 1 missing (2.bias); 1 unknown (7.weight); "
        "1 of another shape (0.weight 3×64 instead of 256×64)"
    )


def test_a_prefix_that_would_fit_is_named(tmp_path: Path) -> None:
    torch.save({f"module.{name}": value for name, value in chain().state_dict().items()}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"6 missing .*; 6 unknown .*; init.prefix=module. would fit"):
        refine(chain(), "pretrained", None, path=str(tmp_path / "a.pt"))


def test_nothing_is_run(tmp_path: Path) -> None:
    """A pickle that would touch a file: it is refused, and the file is not there."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (str(tmp_path / "touched"),)

    torch.save({"0.weight": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"0.weight": Evil()}))
    for name in ("evil.pt", "plain.pkl"):
        with pytest.raises(UserError, match=f"{name}: (wants to run code|damaged)"):
            refine(chain(), "pretrained", None, path=str(tmp_path / name))
    with pytest.raises(UserError, match=r"evil.pt: wants to run code, or holds more than tensors"):
        refine(chain(), "pretrained", None, path=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "touched").exists()


def test_damaged_and_absent_files(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save(chain().state_dict(), whole)
    contents = {
        "cut.pt": whole.getvalue()[:5000], "empty.pt": b"", "text.pt": b"hello", "text.safetensors": b"hello",
        "numbers.pt": None,
    }  # fmt: skip
    torch.save({"a": 3}, tmp_path / "numbers.pt")
    for name, content in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as error:
            refine(chain(), "pretrained", None, path=str(tmp_path / name))
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    for path, message in (
        (None, "name the checkpoint, init.path=FILE"),
        ("nowhere.pt", "nowhere.pt: no such file"),
    ):
        with pytest.raises(UserError, match=message):
            refine(chain(), "pretrained", None, path=path)
