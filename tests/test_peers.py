"""What `scripts/benchmark.py peers` does around the peers: nothing is installed here, and no library but ours runs."""

import ast
import sys
import tomllib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.benchmarks.peers.arrays import write_arrays
from scripts.benchmarks.peers.environments import HERE, PEERS, list_of, pinned, place_of
from scripts.benchmarks.peers.measuring import alternate, medians, ratio, rounded, run_timed, scaled
from tests.helpers import make_job

FOR_OTHERS = frozenset({"packaging"})  # needed by what is needed
SCRIPTS = {"jax": HERE / "jax_wine.py", "keras": HERE / "keras_mnist.py"}


def test_every_peer_has_a_list_and_a_script() -> None:
    assert {path.stem.removeprefix("requirements-") for path in HERE.glob("requirements-*.txt")} == set(PEERS)
    assert {*SCRIPTS, "initlab"} == set(PEERS)


def test_what_initlab_needs_is_pinned_and_no_extra_of_it() -> None:
    """Lightning looks for some packages, and an import of it takes longer where it finds them."""
    project = tomllib.loads((HERE.parents[2] / "pyproject.toml").read_text())["project"]
    own = {canonicalize_name(name) for name in pinned(list_of("initlab").read_text())}
    needed, extra = (
        {canonicalize_name(Requirement(text).name) for text in texts}
        for texts in (project["dependencies"], chain.from_iterable(project["optional-dependencies"].values()))
    )
    assert needed <= own
    assert not {"transformers", "ray", "distributed"} & own
    assert not (extra - needed - FOR_OTHERS) & own


@pytest.mark.parametrize("peer", SCRIPTS)
def test_a_script_compiles_and_imports_what_its_list_pins(peer: str) -> None:
    """It runs where nothing of ours is."""
    tree = ast.parse(SCRIPTS[peer].read_text())
    compile(tree, str(SCRIPTS[peer]), "exec")
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert foreign == {peer, "numpy"}
    assert foreign <= set(pinned(list_of(peer).read_text()))


def test_a_list_of_another_form_is_refused() -> None:
    assert pinned("# a comment\n\nnumpy==2.4.6\n jax==0.10.2\n") == {"numpy": "2.4.6", "jax": "0.10.2"}
    for text in ("numpy", "numpy>=2", "numpy==", "numpy==1\nnumpy==2"):
        with pytest.raises(ValueError, match="expected name==version"):
            pinned(text)


def test_another_list_has_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, path = "scripts.benchmarks.peers.environments.HERE", tmp_path / "requirements-some.txt"
    monkeypatch.setattr(here, tmp_path)
    places = []
    for text in ("a==1\nb==2\n", "# in another order\nb==2\na==1\n", "a==1\nb==3\n"):
        path.write_text(text)
        places.append(place_of("some", tmp_path))
    assert places[0] == places[1] != places[2]
    assert places[0].parent == tmp_path


def test_jax_trains_what_classic_wine_says() -> None:
    tree = ast.parse(SCRIPTS["jax"].read_text())
    names, values = next(
        (ast.unparse(node.targets[0]).strip("()").split(", "), ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    )
    job = make_job("experiment=classic_wine")
    network = job.network.build()
    assert dict(zip(names, values, strict=True)) == {
        "BATCH": job.config.batch_size,
        "EPOCHS": job.config.trainer.max_epochs,
        "RATE": job.learning_rate,
        "HIDDEN": next(network.parameters()).shape[0],
        "CLASSES": list(network.parameters())[-1].shape[0],
    }


def test_peers_read_the_rows_that_initlab_trains_on(tmp_path: Path) -> None:
    dataset = make_job("experiment=classic_wine").dataset
    with np.load(write_arrays(dataset, tmp_path / "wine.npz")) as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            "train_inputs": (1279, 11),
            "train_targets": (1279,),
            "test_inputs": (320, 11),
            "test_targets": (320,),
        }
        assert np.abs(arrays["train_inputs"].mean(0, dtype=np.float64)).max() < 1e-6  # standardized
        for name, split in (("train", dataset.train), ("test", dataset.test)):
            assert torch.equal(torch.from_numpy(arrays[f"{name}_inputs"]), split.inputs)
            assert torch.equal(torch.from_numpy(arrays[f"{name}_targets"]), split.targets)


def test_ratios_are_of_medians() -> None:
    """Of wall and CPU seconds apart: the one process here waits for others in one run of three."""
    ours = [{"whole": wall, "whole CPU": cpu} for wall, cpu in ((3.0, 2.0), (90.0, 2.5), (4.0, 1.0))]
    theirs = [{"training": wall, "training CPU": cpu} for wall, cpu in ((8.0, 5.0), (7.0, 5.0), (30.0, 4.0))]
    median = medians({"ours": ours, "theirs": theirs})
    assert median["ours"] == {"whole": 4.0, "whole CPU": 2.0}
    assert ratio(median["ours"], median["theirs"], "whole", "training") == {"wall": 0.5, "CPU": 0.4}
    assert ratio(median["ours"], median["ours"], "whole") == {"wall": 1.0, "CPU": 1.0}


def test_a_run_is_scaled_in_its_seconds_only() -> None:
    assert scaled({"training": 3.0, "training CPU": 2.0, "accuracy": 0.7}, 400) == {
        "training": 1200.0,
        "training CPU": 800.0,
        "accuracy": 0.7,
    }


def test_a_millisecond_is_not_rounded_away() -> None:
    sample = {"whole": 1271.04, "last epoch of a member": 0.00015876, "accuracy": 0.69629}
    assert rounded(sample) == {"whole": 1270.0, "last epoch of a member": 0.000159, "accuracy": 0.6963}


def test_contestants_take_turns() -> None:
    order: list[str] = []

    def run(name: str) -> dict[str, float]:
        order.append(name)
        return {"whole": float(len(order))}

    samples = alternate({"a": lambda: run("a"), "b": lambda: run("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [{"whole": 1.0}, {"whole": 4.0}, {"whole": 5.0}],
                       "b": [{"whole": 2.0}, {"whole": 3.0}, {"whole": 6.0}]}  # fmt: skip


def test_a_process_is_timed_from_outside() -> None:
    """It works for 0.1 seconds of CPU, and sleeps for as long."""
    busy = (
        "import json, time\n"
        "while time.process_time() < 0.1: pass\n"
        "time.sleep(0.1)\n"
        "print('something else')\n"
        "print(json.dumps({'training': 1.5}))\n"
    )
    found = run_timed([sys.executable, "-I", "-S", "-c", busy], {})
    assert found["training"] == 1.5
    assert 0.1 <= found["whole CPU"] <= found["whole"] - 0.09
    with pytest.raises(RuntimeError, match="no such data"):
        run_timed([sys.executable, "-I", "-S", "-c", "raise SystemExit('no such data')"], {})
