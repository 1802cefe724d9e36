"""What the tests compose quicker is what Hydra composes."""

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf

from initlab.config.files import CONF
from tests.composing import composed_by_hydra

TYPED = [
    "",
    "model=mlp init=he seeds=3 optim.lr=0.1",
    "model=mlp init=he seeds=[1,2] optim.lr=1e-3 trainer.max_epochs=2",
    "init=he model=mlp",
    "model=cnn data=mnist",
    "model=recurrent data=parity data.steps=5",
    "model=residual_mlp activation=tanh model.depth=3",
    "data=teacher optim=adam optim.betas=[0.9,0.99]",
    "init=normal +init.more=1",
    "init=constant init.value=0.1 ~optim.momentum",
    "init=normal ~init",
    "init=normal ~init=normal",
    "experiment=coord_check init=mup",
    "experiment=classic_wine protocol.normal.std=0.3",
    "experiment=chrono_copy seeds=2",
    "+experiment=classic_mnist",
    "init={name:he}",
    "'name=a b' output_dir=${oc.env:HOME,none}",
    "name=${model.name}-${init.name}",
    "logger=none report=false",
    "logger=[csv,tensorboard]",
    "hydra.run.dir=elsewhere",
    "hydra/launcher=basic",
    "hydra.searchpath=[file://{own}] init=own",
    "hydra.searchpath=[file://{own}] model=mlp init=he",
    # Refused by one of them, refused by the other, in the same words.
    "init=nothing",
    "init=own",
    "init.nothing=1",
    "model=mlp,cnn",
    "init@other=he",
    "init=1",
    "+init=he",
    "seeds=[1",
    "name=${",
    "~init=zeros",
]


def composed(how: AbstractContextManager[Any], name: str, typed: list[str]) -> Any:
    """All that is to know of a configuration, or of why there is none."""
    with how, initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = compose(name, typed, return_hydra_config=True)
        except (HydraException, ValueError) as error:
            return type(error), str(error), str(error.__cause__)
    return config, *nodes(config)


def nodes(held: Any, path: str = "") -> Iterator[tuple[Any, ...]]:
    """What each node of a configuration holds and says of itself, in their order."""
    kept, inner = held._metadata, getattr(held, "_content", None)
    value = None if isinstance(inner, dict | list) else repr(held._value())
    yield path, type(held), value, dict(kept.flags or {}), kept.ref_type, kept.object_type
    if isinstance(inner, dict | list):
        for key, node in inner.items() if isinstance(inner, dict) else enumerate(inner):
            assert node._get_parent() is held
            yield from nodes(node, f"{path}.{key}")


@pytest.mark.parametrize(("name", "share"), [("train", 2), ("probe", 9), ("recommend", 9)])
def test_it_is_what_hydra_composes(name: str, share: int, tmp_path: Path) -> None:
    """Whatever was composed before, and though what was composed is changed."""
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "own.yaml").write_text("name: own\n")
    (tmp_path / "init" / "he.yaml").write_text("name: his\n")
    all_typed = [shlex.split(typed.replace("{own}", str(tmp_path))) for typed in TYPED[::share]]
    expected = [composed(composed_by_hydra(), name, typed) for typed in all_typed]
    for typed, of_hydra in [*zip(all_typed, expected, strict=True)] * 2:
        found = composed(nullcontext(), name, typed)
        assert found[1:] == of_hydra[1:], typed
        if OmegaConf.is_config(found[0]):
            OmegaConf.set_struct(found[0], False)
            for key in list(found[0]):
                del found[0][key]


def test_what_a_plugin_adds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfigStore.instance(), "repo", deepcopy(ConfigStore.instance().repo))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        with pytest.raises(HydraException, match="init/added"):
            compose("train", ["init=added"])
        for share in (0.5, 0.7):
            ConfigStore.instance().store(group="init", name="added", node={"name": "added", "share": share})
            assert compose("train", ["init=added"]).init.share == share
