"""Optimizers over stacked parameters, in which every member keeps its own learning rate and gradient norm."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from initlab.base.errors import UserError
from initlab.config.calls import check_call, import_target
from initlab.config.schema import OWN_KEYS

# Elementwise, so that no member sees another's gradient, and linear in the learning rate.
SUPPORTED = frozenset(
    f"torch.optim.{name}"
    for name in ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop")
)

# How torch's optimizers work so that a tracer can follow: one parameter after another, what changes in tensors.
TRACEABLE: Final[Mapping[str, bool]] = MappingProxyType({"foreach": False, "fused": False, "capturable": True})


def check_optimizer(config: Mapping[str, Any], *, to_train: bool = True) -> None:
    """Check that members can share the optimizer of an `optim` group.

    Args:
        config: The group.
        to_train: Whether it is to be used; else it is not asked whether it takes these values, but for their names.

    Raises:
        UserError: an optimizer that mixes the entries of a tensor or is not linear in its learning rate, or an
            argument that it does not take.
    """
    path = config.get("_target_")
    if path not in SUPPORTED:
        raise UserError(
            f"optim._target_={path}: members can share an elementwise optimizer only; "
            f"known: {', '.join(sorted(SUPPORTED))}"
        )
    if config.get("decay", "all") not in ("all", "weights"):
        raise UserError(f"optim.decay={config['decay']}: expected all, or weights to spare biases and norms")
    arguments = {key: value for key, value in config.items() if key not in OWN_KEYS}
    check_call(import_target(path, where="optim"), arguments, where="optim", supplied=("params",))
    if not to_train:
        return
    try:
        CohortOptimizer(config, [torch.zeros(1, requires_grad=True)], [float(config["lr"])])
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"optim: {path} refuses this: {error}") from error


def spared_parameters(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that weight decay spares where it is for weights only: biases, norms and single numbers.

    Args:
        model: Any network.
    """
    norms = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
    return frozenset(
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() < 2 or "bias" in name or isinstance(module, norms)
    )


class CohortOptimizer:
    """One torch optimizer over all members, each stepping at its own learning rate, and each parameter at its own.

    Decoupled weight decay is a part of the step: of AdamW, whose step takes lr · weight_decay off a weight, a factor
    scales it along. (`MuAdamW` of microsoft/mup keeps lr · weight_decay as it is at the base width.)

    Args:
        config: The `optim` group: `_target_` and its arguments; its `lr` is not used.
        parameters: The stacked parameters, shape (members, …) each.
        learning_rates: One a member, in the order of the stack.
        spared: Places of the parameters that weight decay spares.
        factors: Of each parameter, what its learning rate is multiplied by, one number a member; None: nothing.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        parameters: Sequence[Tensor],
        learning_rates: Sequence[float],
        *,
        spared: Collection[int] = (),
        factors: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.parameters = list(parameters)
        self._config = config
        rates = torch.tensor(learning_rates, dtype=torch.float64)
        ones = (1.0,) * len(rates)
        kinds = [
            (place in spared, ones if factors is None else tuple(factors[place]))
            for place in range(len(self.parameters))
        ]
        groups = sorted(dict.fromkeys(kinds), key=lambda kind: kind[0])  # a group of torch's for each
        self._group_of = [groups.index(kind) for kind in kinds]
        self._factors = [torch.tensor(factor, dtype=torch.float64) for _, factor in groups]
        members = [
            [parameter for parameter, own in zip(self.parameters, kinds, strict=True) if own == kind] for kind in groups
        ]
        self.torch_optimizer: Optimizer = self._build(
            [
                {"params": own, **({"weight_decay": 0.0} if without_decay else {})}
                for own, (without_decay, _) in zip(members, groups, strict=True)
            ],
            max(learning_rates),
        )
        self._kept: list[dict[str, Any]] = []  # settings of each group, and its rate, as a compiled program has them
        self._kept_rates = [float((rates * factor).max()) or 1.0 for factor in self._factors]
        self._to_kept: list[Tensor] | None = None  # of each group, the members' rates by the kept one
        self._rates: list[Tensor] = []  # of each group, the members'
        self._ratios: list[Tensor | None] = []
        self.set_rates(rates, {})

    def _build(self, parameters: Any, rate: float, **others: Any) -> Optimizer:
        arguments = {key: value for key, value in self._config.items() if key not in ("lr", *OWN_KEYS)} | others
        optimizer: Optimizer = import_target(self._config["_target_"], where="optim")(parameters, lr=rate, **arguments)
        return optimizer

    def stand_in(self, rate: float) -> Optimizer:
        """An optimizer like this one, over nothing, for a schedule to act on.

        Args:
            rate: Its learning rate.
        """
        return self._build([torch.zeros(1, requires_grad=True)], rate)

    @staticmethod
    def _ratios_to(fastest: float, rates: Tensor) -> Tensor | None:
        ratios = rates / fastest if fastest else torch.ones_like(rates)
        return None if bool((ratios == 1).all()) else ratios

    def set_rates(self, rates: Tensor, others: Mapping[str, Any]) -> None:
        """Let each member step at another rate from now on.

        Args:
            rates: One a member, shape (members,), float64, on the CPU; a parameter's is that times its factor.
            others: Further settings of the optimizer, the same for all members.
        """
        self._rates, self._ratios, self._to_kept = [], [], None
        for group, factor in zip(self.torch_optimizer.param_groups, self._factors, strict=True):
            own = rates * factor
            fastest = float(own.max())
            group.update(others, lr=fastest)
            self._rates.append(own)
            self._ratios.append(self._ratios_to(fastest, own))

    @torch.no_grad()
    def step(self, stopped: Tensor | None = None) -> None:
        """Update every member by its own learning rate.

        A step is linear in the learning rate: all members step at the largest one, and each step is then scaled down
        to the member's own.

        Args:
            stopped: Which members stay as they are, shape (members,), truth values; None: none.
        """
        ratios = [self._ratios[group] for group in self._group_of]
        self._step(self.torch_optimizer.step, self.parameters, ratios, stopped)

    @staticmethod
    def _step(
        step: Callable[[], Any],
        parameters: Sequence[Tensor],
        ratios: Sequence[Tensor | None],
        stopped: Tensor | None,
    ) -> None:
        before = [
            None if ratio is None and stopped is None else parameter.clone()
            for parameter, ratio in zip(parameters, ratios, strict=True)
        ]
        step()
        for parameter, start, ratio in zip(parameters, before, ratios, strict=True):
            if start is None:
                continue
            if ratio is not None:
                parameter.copy_(torch.lerp(start, parameter, _along_members(ratio.to(parameter), parameter)))
            if stopped is not None:
                parameter.copy_(torch.where(_along_members(stopped, parameter), start, parameter))

    def keep_settings(self) -> None:
        """Remember the settings of now, which a compiled program holds as numbers.

        Its rates are those from before the first step, whenever it is made, so that a resumed run takes the same steps.
        """
        self._kept, self._to_kept = [_settings(group) for group in self.torch_optimizer.param_groups], None

    def settings_kept(self) -> bool:
        """Whether all settings but the rates are still those that `keep_settings` remembers."""
        return self._kept == [_settings(group) for group in self.torch_optimizer.param_groups]

    def described(self) -> tuple[Any, ...]:
        """What a program of `step_on` holds as numbers and choices, as plain data."""
        return dict(self._config), self._kept, self._kept_rates, self._group_of

    @property
    def rates_differ(self) -> bool:
        """Whether some members, or some parameters, go at rates of their own."""
        return any(ratio is not None for ratio in self._ratios)

    def ratios(self) -> list[Tensor]:
        """Of each parameter, the members' rates by those that `keep_settings` remembers, shape (members,)."""
        if self._to_kept is None:
            like = self.parameters[0]
            self._to_kept = [(rates / kept).to(like) for rates, kept in zip(self._rates, self._kept_rates, strict=True)]
        return [self._to_kept[group] for group in self._group_of]

    def states(self) -> list[dict[str, Tensor]]:
        """What torch's optimizer keeps of each parameter, by name; these very tensors change when it steps."""
        return [
            {name: value for name, value in self.torch_optimizer.state[parameter].items() if isinstance(value, Tensor)}
            for parameter in self.parameters
        ]

    def step_on(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        states: Sequence[Mapping[str, Tensor]],
        ratios: Sequence[Tensor],
        stopped: Tensor | None,
    ) -> None:
        """Do to other tensors what `step` does to its own, in operations that a tracer can follow.

        Args:
            parameters: Changed in place.
            gradients: Of each parameter; None: it has none.
            states: Of each parameter, as `states` has them; changed in place.
            ratios: Of each parameter, as `ratios` has them; empty: all members step at the remembered rates.
            stopped: Which members stay as they are; None: none.
        """
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        own = [
            [leaf for leaf, group in zip(leaves, self._group_of, strict=True) if group == place]
            for place in range(len(self._factors))
        ]
        known = self.torch_optimizer.defaults
        followed = {key: value for key, value in TRACEABLE.items() if key in known}
        optimizer = self._build([{"params": group} for group in own], 1.0, **followed)
        for group, settings, rate in zip(optimizer.param_groups, self._kept, self._kept_rates, strict=True):
            group.update(settings | followed, lr=rate)
        for leaf, gradient, state in zip(leaves, gradients, states, strict=True):
            leaf.grad = gradient
            if state:  # steps are counted in double precision, as torch's optimizers compute with them as numbers
                optimizer.state[leaf] = {
                    name: value if value.dim() else value.double() for name, value in state.items()
                }
        self._step(lambda: _plain_step(optimizer), leaves, ratios or [None] * len(leaves), stopped)
        for leaf, state in zip(leaves, states, strict=True):
            for name, value in state.items():
                if not value.dim():
                    value.copy_(optimizer.state[leaf][name])


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in ("params", "lr")}


def _plain_step(optimizer: Optimizer) -> None:
    """A step without the wrappers that torch puts around it, which break a traced program in two."""
    step: Any = type(optimizer).step
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    step(optimizer)


def gradient_norms(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of each member's gradient over all its parameters.

    Args:
        gradients: Of each stacked parameter, shape (members, …).

    Returns:
        Shape (members,).
    """
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def clip_members(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale each member's gradient in place to a norm of at most `limit`, as `torch.nn.utils.clip_grad_norm_` does.

    Args:
        gradients: Of each stacked parameter, shape (members, …).
        limit: Largest Euclidean norm of a member's gradient over all its parameters.
    """
    scale = (limit / (gradient_norms(gradients) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(_along_members(scale, gradient))


def _along_members(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
