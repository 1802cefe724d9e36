"""The network of a job: how it is built for the data, and what learning rates follow from its width."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.config.schema import Config
from initlab.jobs.data import JobData
from initlab.jobs.scaling import mup_factors, spectral_factors, wider_heads
from initlab.jobs.targets import target


@dataclass(frozen=True, eq=False)
class JobNetwork:
    """The structure that all members of a job have.

    Attributes:
        config: The configuration of the job, whose groups `model` and `optim` decide.
        data: What its members learn from, for the shape of a sample and the number of outputs.
        activation: The nonlinearity.
    """

    config: Config
    data: JobData
    activation: Activation

    @cached_property
    def build(self) -> Callable[[], nn.Module]:
        """A function without arguments that builds the network, with the weights that torch gives it.

        Raises:
            UserError: `model.out_features` does not suit the data, or the model does not take its arguments.
        """
        return self._builder(self.config.model)

    def _builder(self, model: Mapping[str, Any]) -> Callable[[], nn.Module]:
        """`build` of another `model` group."""
        arguments = dict(model)
        data = self.data.of_seed(self.config.seed)
        width = arguments.pop("out_features", None) or data.outputs
        if width < data.outputs and data.classes is not None:
            raise UserError(f"model.out_features={width}: the data has {data.classes} classes")
        if width != data.outputs and data.classes is None:
            raise UserError(f"model.out_features={width}: the data asks for {data.outputs}, one a target; set null")
        build = target("model", arguments)
        known = {
            "input_shape": data.input_shape,
            "out_features": width,
            "num_classes": width,
            "activation": self.activation,
            "vocabulary": data.vocabulary,
            "every_step": data.task == "sequence",
        }
        declared = inspect.signature(build).parameters
        return partial(build, **{name: value for name, value in known.items() if name in declared})

    @property
    def scaling(self) -> str:
        """How learning rates follow from the width: `standard`, where each parameter has the same, mup or spectral."""
        return str(self.config.optim.get("scaling", "standard"))

    @cached_property
    def rate_factors(self) -> Mapping[str, float]:
        """By a parameter's name, the factor on its learning rate; empty where all have the same, `optim.lr`.

        Raises:
            RefusedError: `optim.scaling=mup` has no base width, or the network does not grow from it.
        """
        if self.scaling == "standard":
            return {}
        optimizer = str(self.config.optim["_target_"])
        try:
            if self.scaling == "spectral":
                return spectral_factors(self._unfilled(), optimizer=optimizer)
            return mup_factors(self._unfilled(), self._at_base_width(), optimizer=optimizer)
        except UserError as error:
            raise RefusedError(f"optim.scaling={self.scaling}: {error}") from error

    @property
    def wider_heads(self) -> tuple[int, int] | None:
        """Where muP trains it, the sizes of attention heads in its network and at the base width, if that is less."""
        return wider_heads(self._unfilled(), self._at_base_width()) if self.scaling == "mup" else None

    @property
    def width(self) -> int | None:
        """The width of its network, the key `model.width` or what the network has for it; None if it has no such."""
        found = self._declared["width"].default if "width" in self._declared else None
        return found if isinstance(found, int) else None

    def _unfilled(self, model: Mapping[str, Any] | None = None) -> nn.Module:
        """A network for its structure; torch's global random state stays as it was."""
        with torch.random.fork_rng(devices=[]):
            return (self.build if model is None else self._builder(model))()

    def _at_base_width(self) -> nn.Module:
        """Its network at `optim.base_width`.

        Raises:
            UserError: there is no base width, no width, or the network does not follow it.
        """
        base, width, name = self.config.optim.get("base_width"), self.width, self.config.model["name"]
        if base is None:
            raise UserError("needs the width at which optim.lr was found; set optim.base_width, such as 64")
        if width is None:
            raise UserError(f"model={name} has no key width that could be optim.base_width; use mlp, gpt or vit, say")
        if base > width:
            raise UserError(f"optim.base_width={base} is more than model.width={width}; set one that is not")
        try:
            network = self._unfilled({**self.config.model, "width": base})
        except UserError as error:
            raise UserError(f"optim.base_width={base} is no width of this network ({error})") from error
        if base < width and _shapes(network) == _shapes(self._unfilled()):
            raise UserError(f"model={name} is the same at widths {base} and {width}; leave model.hidden null, say")
        return network

    @cached_property
    def reads_steps(self) -> bool:
        """Whether its network is told that samples have steps, and whether there is an answer at each: `every_step`."""
        return "every_step" in self._declared

    @cached_property
    def _declared(self) -> Mapping[str, inspect.Parameter]:
        """What the constructor of its network takes, by name; with what it has by default and by configuration."""
        arguments = {key: value for key, value in self.config.model.items() if key != "out_features"}
        return inspect.signature(target("model", arguments)).parameters

    def with_seed(self, seed: int, *, within: AbstractContextManager[Any] | None = None) -> nn.Module:
        """A network that draws from a seed what no scheme fills; torch's global random state stays as it was.

        Args:
            seed: Of the member that gets it.
            within: Entered while the network is constructed.

        Raises:
            UserError: the model's `_target_` gives no network.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            with within or nullcontext():
                model: Any = self.build()
        if not isinstance(model, nn.Module):
            built = f"model._target_={self.config.model['_target_']} gives a {type(model).__name__}"
            raise UserError(f"{built}: expected a torch.nn.Module")
        return model


def _shapes(model: nn.Module) -> list[torch.Size]:
    return [parameter.shape for parameter in model.parameters()]
