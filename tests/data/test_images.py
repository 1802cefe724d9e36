"""Small images, read from files of the real formats."""

import hashlib
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from initlab.base.errors import UserError
from initlab.data import images
from initlab.data.dataset import Dataset
from initlab.sweep.checks import check_job
from tests.helpers import make_job, train

CIFAR = partial(images.torchvision_images, source="CIFAR10")
IDX = {name: partial(images.torchvision_images, source=name) for name in ("MNIST", "FashionMNIST", "KMNIST")}


@pytest.mark.parametrize("name", IDX)
def test_small_idx_files_are_read(name: str, small_data: Path) -> None:
    load = IDX[name]
    dataset = load(dir=str(small_data), download=False, val_fraction=0.2, standardize=False)
    assert dataset.input_shape == (1, 28, 28)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (160, 40, 60)
    assert float(dataset.train.inputs.min()) == 0.0
    assert float(dataset.train.inputs.max()) == 1.0
    assert torch.equal(dataset.test.targets[:12], torch.arange(12) % 10)
    assert dataset.baseline == 6 / 60
    standard = load(dir=str(small_data), download=False).train.inputs
    assert float(standard.mean()) == pytest.approx(0, abs=1e-5)
    assert float(standard.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", IDX)
def test_absent_images_say_where_they_were_looked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cannot read {name} from {tmp_path}/{name}/raw .*INITLAB_DATA.*data=digits"):
        IDX[name](dir=str(tmp_path), download=False)


@pytest.mark.parametrize("name", IDX)
def test_damaged_images(name: str, tmp_path: Path, small_data: Path) -> None:
    raw = tmp_path / name / "raw"
    raw.mkdir(parents=True)
    for file in (small_data / name / "raw").iterdir():
        (raw / file.name).write_bytes(file.read_bytes()[:-7])
    with pytest.raises(UserError, match=f"cannot read {name}"):
        IDX[name](dir=str(tmp_path), download=False)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with 5 batches of 20 training images and one of 30, each colour of its own brightness."""
    folder = tmp_path / "cifar" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(name: str, content: object) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(rows: int) -> dict[str, object]:
        pixels = np.concatenate([rng.integers(0, top, (rows, 1024)) for top in (50, 150, 256)], axis=1)
        return {"data": pixels.astype(np.uint8), "labels": [int(row) % 10 for row in range(rows)]}

    monkeypatch.setattr(CIFAR10, "train_list", [write(f"data_batch_{k}", batch(20)) for k in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(30))])
    name, digest = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": digest})
    return tmp_path / "cifar"


def test_small_cifar_files_are_read(cifar: Path) -> None:
    dataset = images.torchvision_images(
        source="CIFAR10", dir=str(cifar), download=False, val_fraction=0, standardize=False
    )
    assert dataset.input_shape == (3, 32, 32)
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (100, 30, 10)
    assert dataset.test.targets.tolist() == [row % 10 for row in range(30)]
    stored = pickle.loads((cifar / CIFAR10.base_folder / "data_batch_2").read_bytes())["data"]
    expected = torch.from_numpy(stored[3].reshape(3, 32, 32) / 255).float()  # colour, then row, then column
    torch.testing.assert_close(dataset.train.inputs[23], expected)


def test_each_colour_is_standardized_by_its_own_training_pixels(cifar: Path) -> None:
    raw = CIFAR(dir=str(cifar), download=False, standardize=False)
    dataset = CIFAR(dir=str(cifar), download=False)
    for colour in range(3):
        pixels = raw.train.inputs[:, colour].double()
        expected = (raw.test.inputs[:, colour] - pixels.mean()) / pixels.std(correction=0)
        torch.testing.assert_close(dataset.test.inputs[:, colour], expected.float())
    assert raw.train.inputs[:, 0].mean() < 0.2 < raw.train.inputs[:, 2].mean()


def test_the_recipe_trains_on_cifar(cifar: Path) -> None:
    module = train(make_job("data=cifar10", f"data.dir={cifar}", "seeds=2", "trainer.max_epochs=1"))
    assert module.history[-1].values["score"].isfinite().all()


@pytest.mark.parametrize("damage", ["absent", "cut off", "other bytes"])
def test_missing_and_damaged_cifar_files(cifar: Path, damage: str) -> None:
    path = cifar / CIFAR10.base_folder / "data_batch_3"
    content = path.read_bytes()
    path.unlink() if damage == "absent" else path.write_bytes(content[:-9] if damage == "cut off" else content[::-1])
    with pytest.raises(UserError, match=f"data=cifar10: cannot read CIFAR10 from {cifar}/cifar-10-batches-py "):
        CIFAR(dir=str(cifar), download=False)


def test_two_processes_that_lack_the_files_fetch_them_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second waits, and then reads what the first has written; as threads here, as the lock knows no difference."""
    file, at_work, fetched = tmp_path / "files", threading.Lock(), list[str]()
    both_are_looking = threading.Barrier(2, timeout=60)

    def read(directory: Path, *, train: bool, download: bool) -> str:
        assert directory == tmp_path
        assert train
        if not download:
            missing = not file.exists()
            both_are_looking.wait()
            if missing:
                raise RuntimeError("Dataset not found")
        elif not file.exists():
            assert at_work.acquire(blocking=False)
            fetched.append("once")
            time.sleep(0.2)
            file.write_text("whole")
            at_work.release()
        return file.read_text()

    monkeypatch.setattr(images._Source, "read", staticmethod(read))
    source = images._Source("fake", "", "", "")
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(images._found_or_fetched, source, tmp_path, train=True, download=True) for _ in range(2)]
        assert [one.result(timeout=60) for one in found] == ["whole", "whole"]
    assert fetched == ["once"]


def test_what_is_there_is_read_without_a_lock(small_data: Path) -> None:
    """As it may be where nobody can write."""
    assert len(IDX["MNIST"](dir=str(small_data), download=True, val_fraction=0.2).train) == 160
    assert not list(small_data.glob(".*.lock"))


def test_the_real_images(real_data: Path) -> None:
    dataset = images.torchvision_images(source="MNIST", dir=str(real_data), download=False, val_fraction=0)
    assert (len(dataset.train), len(dataset.test)) == (60_000, 10_000)
    assert dataset.baseline == pytest.approx(0.1135)


def test_standardizing_a_few_rows_at_a_time_is_standardizing(monkeypatch: pytest.MonkeyPatch) -> None:
    load: Callable[[], Dataset] = images.digits
    whole = load()
    monkeypatch.setattr("initlab.data.assemble.ROWS_AT_ONCE", 7)
    torch.testing.assert_close(load().test.inputs, whole.test.inputs)


def as_pictures(data: Dataset, shape: tuple[int, int, int], order: np.ndarray | None = None) -> list[np.ndarray]:
    """The rows of all parts as pictures again, their pixels put back by hand."""
    channels, height, width = shape
    pictures = []
    for part in (data.train, data.val, data.test):
        found = np.full((len(part), *shape), np.nan, np.float32)
        for step in range(height * width):
            place = step if order is None else order[step]
            found[:, :, place // width, place % width] = part.inputs[:, step].numpy()
        assert part.inputs.shape == (len(part), height * width, channels)
        pictures.append(found)
    return pictures


@pytest.mark.parametrize("standardize", [True, False])
def test_pixels_one_by_one_are_those_of_the_pictures(standardize: bool, cifar: Path, small_data: Path) -> None:
    """As they are to the bit; standardized but for the order of the sums that the moments are made of."""
    loads: tuple[tuple[Callable[..., Dataset], dict[str, Any], tuple[int, int, int]], ...] = (
        (images.digits, {}, (1, 8, 8)),
        (IDX["MNIST"], {"dir": str(small_data), "val_fraction": 0.2}, (1, 28, 28)),
        (CIFAR, {"dir": str(cifar), "val_fraction": 0.2}, (3, 32, 32)),
    )
    for load, settings, shape in loads:
        plain = load(**settings, standardize=standardize)
        data = load(**settings, standardize=standardize, sequential=True)
        assert (data.sequential, data.vocabulary, data.task) == (True, None, "classification")
        assert not plain.sequential
        for part, pictures in zip((plain.train, plain.val, plain.test), as_pictures(data, shape), strict=True):
            np.testing.assert_allclose(pictures, part.inputs, rtol=0, atol=1e-5 if standardize else 0)
        assert torch.equal(data.test.targets, plain.test.targets)
        assert data.test_rows.equal(plain.test_rows)
        assert (data.resplit is None) == (plain.resplit is None)


def test_permuted_pixels_have_one_order_in_all_splits() -> None:
    plain = images.digits(standardize=False)
    data = images.digits(standardize=False, sequential=True, permute_seed=5)
    rows, own = data.train.inputs[..., 0], plain.train.inputs.flatten(1)
    order = np.array([int((own == step[:, None]).all(0).nonzero()[0]) for step in rows.T if step.any()])
    assert len(set(order.tolist())) == len(order) > 55  # some pixels are 0 in all pictures
    assert sorted(order.tolist()) != order.tolist()
    assert data.resplit is not None
    assert plain.resplit is not None
    lit = [step for step in range(64) if rows[:, step].any()]
    for seed in (1, 2):
        again, pictures = data.resplit(seed), plain.resplit(seed)
        assert again.sequential
        assert torch.equal(again.test.inputs[:, lit, 0], pictures.test.inputs.flatten(1)[:, order])
    other = images.digits(standardize=False, sequential=True, permute_seed=6)
    assert not torch.equal(other.train.inputs, data.train.inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"permute_seed": 3}, "data.permute_seed=3: orders pixels that come one by one; set data.sequential=true"),
        ({"permute_seed": -3, "sequential": True}, "data.permute_seed=-3: expected at least 0"),
    ],
)
def test_orders_of_pixels_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        images.digits(**settings)


def test_pixels_one_by_one_are_another_job_whose_network_must_read_them() -> None:
    job = make_job("data=digits", "data.sequential=true")
    assert job.fingerprint != make_job("data=digits").fingerprint
    assert job.config.data["sequential"] is True
    assert "permute_seed" not in job.config.data
    with pytest.raises(UserError, match=r"model=cnn needs images .* has shape \(64, 1\); use model=mlp, or rnn, lstm"):
        check_job(job)
    (note,) = check_job(make_job("data=digits", "data.sequential=true", "model=mlp"))
    assert note.startswith("model=mlp: takes the 64 steps of data=digits as one input, without their order")
