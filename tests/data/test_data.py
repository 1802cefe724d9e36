"""Loading, splitting and standardizing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from initlab.base.errors import UserError
from initlab.data import images, tabular
from initlab.data.batches import BLOCK_STEPS
from initlab.data.dataset import Dataset
from initlab.data.module import InMemoryData
from tests.fixtures import write_wines


def rows_of(dataset: Dataset) -> list[set[bytes]]:
    return [{row.numpy().tobytes() for row in split.inputs} for split in (dataset.train, dataset.val, dataset.test)]


@pytest.mark.parametrize("load", [tabular.wine, images.digits])
def test_the_splits_are_apart_and_complete(load: Callable[[], Dataset]) -> None:
    dataset = load()
    train, val, test = rows_of(dataset)
    assert not train & test
    assert not val & test
    assert not train & val
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == {"wine": 178, "digits": 1797}[load.__name__]


def test_standardization_is_fitted_on_training_rows_only() -> None:
    features, labels = load_wine(return_X_y=True)
    rest, _, rest_labels, _ = train_test_split(features, labels, test_size=0.2, random_state=42, stratify=labels)
    train, *_ = train_test_split(rest, rest_labels, test_size=0.2, random_state=42, stratify=rest_labels)
    dataset = tabular.wine()
    expected = (train - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(dataset.train.inputs, expected, rtol=1e-4, atol=1e-5)
    assert float(dataset.val.inputs.mean(0).abs().max()) > 0.01  # the others are not centred by their own mean


def test_no_validation_share_validates_on_the_test_rows() -> None:
    dataset = tabular.wine(val_fraction=0)
    assert dataset.validates_on_test
    assert dataset.val is dataset.test
    assert len(dataset.train) + len(dataset.test) == 178


def test_the_same_configuration_gives_the_same_rows() -> None:
    assert tabular.wine().checksum == tabular.wine().checksum
    assert tabular.wine().checksum != tabular.wine(split_seed=1).checksum


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_bad_fractions(fraction: float) -> None:
    with pytest.raises(UserError, match=r"data.val_fraction="):
        tabular.wine(val_fraction=fraction)
    with pytest.raises(UserError, match=r"data.test_fraction="):
        tabular.wine(test_fraction=2.0)


def test_the_real_wines(real_data: Path) -> None:
    dataset = tabular.wine_quality(dir=str(real_data), download=False, val_fraction=0, stratify=False)
    assert (len(dataset.train), len(dataset.test)) == (1279, 320)
    assert dataset.baseline == 179 / 320


def test_wines_are_good_above_five_and_split_by_scikit_learn(tmp_path: Path) -> None:
    """As above, of made-up wines."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(tabular.WINE_QUALITY_ROWS, 11)).round(3), rng.integers(3, 8, 1599)])
    write_wines(tmp_path / tabular.WINE_QUALITY_FILE, table)
    dataset = tabular.wine_quality(dir=str(tmp_path), download=False, val_fraction=0, stratify=False, standardize=False)
    train, test = train_test_split(table, test_size=0.2, random_state=42)
    for split, rows in ((dataset.train, train), (dataset.test, test)):
        np.testing.assert_allclose(split.inputs, rows[:, :-1], rtol=1e-6)
        assert split.targets.tolist() == [int(quality > 5) for quality in rows[:, -1]]
    assert (len(dataset.train), len(dataset.test)) == (1279, 320)
    good = float((train[:, -1] > 5).mean())
    assert abs(good - 0.5) > 0.05  # one of the two is commoner
    assert dataset.baseline == float(((test[:, -1] > 5) == (good > 0.5)).mean())


def wines(rows: int = 1599) -> np.ndarray:
    return np.column_stack([np.ones((rows, 11)), np.full(rows, 6)])


def test_a_column_is_missing(tmp_path: Path) -> None:
    path = tmp_path / tabular.WINE_QUALITY_FILE
    write_wines(path, wines())
    path.write_text(path.read_text().replace('"pH"', '"acid"'))
    with pytest.raises(UserError, match="lacks the column pH"):
        tabular.wine_quality(dir=str(tmp_path))


def test_text_among_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / tabular.WINE_QUALITY_FILE
    write_wines(path, wines())
    lines = path.read_text().splitlines()
    lines[7] = lines[7].replace("1;", "sour;", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 8, column fixed acidity: 'sour' is no number"):
        tabular.wine_quality(dir=str(tmp_path))


def test_too_few_rows(tmp_path: Path) -> None:
    write_wines(tmp_path / tabular.WINE_QUALITY_FILE, wines(1000))
    with pytest.raises(UserError, match="has 1000 rows, expected 1599"):
        tabular.wine_quality(dir=str(tmp_path))


def test_the_red_wines_need_no_file(tmp_path: Path) -> None:
    """The rows of the tutorial, as they were when they had to be downloaded."""
    dataset = tabular.wine_quality(dir=str(tmp_path), download=False, val_fraction=0, stratify=False)
    assert dataset.checksum == "0220d488a15e36e3fa508372c7618707114e1997442db32dabde5e336f722d5e"
    assert (len(dataset.train), len(dataset.test), dataset.baseline) == (1279, 320, 179 / 320)
    assert "CC BY 4.0" in (tabular.WINE_QUALITY_PACKED.parent / "ATTRIBUTION.md").read_text()


def test_the_variant_of_good_and_bad_wines(tmp_path: Path) -> None:
    table = pd.read_csv(tabular.WINE_QUALITY_PACKED, sep=";")
    table["quality"] = np.where(table["quality"] > 5, "good", "bad")
    table.to_csv(tmp_path / tabular.WINE_QUALITY_FILE, index=False)
    packed = tabular.wine_quality(dir=str(tmp_path / "nowhere"))
    assert tabular.wine_quality(dir=str(tmp_path)).checksum == packed.checksum
    table["quality"] = table["quality"].replace("bad", "poor")
    table.to_csv(tmp_path / tabular.WINE_QUALITY_FILE, index=False)
    with pytest.raises(UserError, match=r"column quality: 'poor' is no number"):
        tabular.wine_quality(dir=str(tmp_path))


def test_every_member_sees_every_row_once_an_epoch() -> None:
    data = InMemoryData(tabular.wine(), batch_size=10, seeds=[3, 4, 3])
    first, again, later = data.blocks(0), data.blocks(0), data.blocks(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    order = torch.cat([block.transpose(0, 1).flatten(1) for block in first], dim=1)
    assert (order.sort(1).values == torch.arange(113)).all()
    assert torch.equal(order[0], order[2])  # equal seeds are paired
    assert not torch.equal(order[0], order[1])
    assert not torch.equal(first[0], later[0])
    assert [tuple(block.shape) for block in first] == [(11, 3, 10), (1, 3, 3)]
    assert data.steps_per_epoch == 12


def test_a_single_remaining_row_waits_for_another_epoch() -> None:
    """113 rows in batches of 16: batch norm could do nothing with the last."""
    data = InMemoryData(tabular.wine(), batch_size=16, seeds=[0])
    assert [tuple(block.shape) for block in data.blocks(0)] == [(7, 1, 16)]
    assert data.steps_per_epoch == 7


def test_blocks_are_bounded() -> None:
    data = InMemoryData(images.digits(), batch_size=2, seeds=[0])
    assert max(len(block) for block in data.blocks(0)) == BLOCK_STEPS
