"""A stack of networks is these networks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from initlab.modules.stack import Stack, State, images_last, stack_members

MEMBERS = 5
ROWS = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))


def network(seed: int) -> nn.Module:
    """A network with parameters, one of them frozen, and buffers that are its own."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3))
    model[0].bias.requires_grad_(False)
    model(torch.randn(20, 6))  # so that the buffers differ
    return model.eval()


@pytest.fixture
def networks() -> list[nn.Module]:
    return [network(seed) for seed in range(MEMBERS)]


@pytest.fixture
def stack(networks: list[nn.Module]) -> Stack:
    return stack_members(networks)


def outputs(stack: Stack, state: State, rows: Tensor = ROWS) -> Tensor:
    found: Tensor = functional_call(stack.template, dict(state), (rows,))
    return found


def test_each_member_is_its_network(networks: list[nn.Module], stack: Stack) -> None:
    assert stack.members == MEMBERS
    for place, model in enumerate(networks):
        state = stack.member(place)
        assert state.keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert torch.equal(state[name], value), name
        torch.testing.assert_close(outputs(stack, state), model(ROWS), rtol=0, atol=0)


def test_a_stack_can_be_trained_and_its_networks_stay_as_they_are(networks: list[nn.Module], stack: Stack) -> None:
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in networks]
    for name, parameter in stack.parameters.items():
        assert isinstance(parameter, nn.Parameter)
        assert parameter.is_leaf
        assert parameter.requires_grad == (name != "0.bias")
        with torch.no_grad():
            parameter.add_(1)
    for value in stack.buffers.values():
        assert not value.requires_grad
        value.add_(1)
    for model, kept in zip(networks, before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_a_member_sees_what_the_stack_learns_and_keeps_its_buffers_to_itself(stack: Stack) -> None:
    state = stack.member(2)
    with torch.no_grad():
        stack.parameters["0.weight"][2] = 7.0
    assert bool((state["0.weight"] == 7).all())
    assert not state["0.weight"].requires_grad
    kept = stack.buffers["1.running_mean"].clone()
    state["1.running_mean"].fill_(9.0)  # as batch norm does while it is looked at
    assert torch.equal(stack.buffers["1.running_mean"], kept)


@pytest.mark.parametrize("rows", [slice(0, 2), slice(3, 5), slice(4, 5), slice(0, 5)])
def test_a_part_is_a_view_of_some_members(rows: slice, networks: list[nn.Module], stack: Stack) -> None:
    part = stack.part(rows)
    assert part.members == rows.stop - rows.start
    assert part.template is stack.template
    for place in range(part.members):
        torch.testing.assert_close(outputs(part, part.member(place)), networks[rows.start + place](ROWS))
    for mine, theirs in ((part.parameters, stack.parameters), (part.buffers, stack.buffers)):
        for name, value in mine.items():
            assert value.untyped_storage().data_ptr() == theirs[name].untyped_storage().data_ptr()
            assert not value.requires_grad


def test_another_device_has_the_same_members(stack: Stack) -> None:
    moved = stack.to(torch.device("meta"))
    assert moved.members == MEMBERS
    for mine, theirs in ((moved.parameters, stack.parameters), (moved.buffers, stack.buffers)):
        assert mine.keys() == theirs.keys()
        assert all(value.is_meta and value.shape == theirs[name].shape for name, value in mine.items())
    assert all(parameter.is_meta for parameter in moved.template.parameters())
    assert not any(value.is_meta for value in stack.parameters.values())


WORKS: dict[str, Callable[[Stack, State], object]] = {
    "outputs": outputs,
    "a dict": lambda stack, state: {
        "mean": outputs(stack, state).mean(),
        "layers": [state["0.weight"].square().sum(), state["1.running_var"]],
    },
    "a number": lambda _, state: state["3.bias"].sum(),
}


@pytest.mark.parametrize("most", [1, 2, 3, MEMBERS, 100])
@pytest.mark.parametrize("name", WORKS)
def test_work_on_all_members_at_once_is_work_on_one_after_another(name: str, most: int, stack: Stack) -> None:
    def work(_: nn.Module, parameters: State, buffers: State) -> object:
        return WORKS[name](stack, {**parameters, **buffers})

    together = stack.each(work, vectorized=True, most=most)
    in_turn = stack.each(work, vectorized=False, most=most)
    assert type(together) is type(in_turn)
    leaves, expected = (
        [found] if isinstance(found, Tensor) else [found["mean"], *found["layers"]] for found in (together, in_turn)
    )
    for one, other in zip(leaves, expected, strict=True):
        assert len(one) == MEMBERS
        assert not one.requires_grad
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("vectorized", [True, False])
def test_each_member_draws_random_numbers_of_its_own(vectorized: bool, stack: Stack) -> None:
    def work(_: nn.Module, parameters: State, buffers: State) -> Tensor:  # noqa: ARG001
        return nn.functional.dropout(torch.ones_like(parameters["0.weight"]))

    drawn = stack.each(work, vectorized=vectorized, most=2)
    assert len({tuple(member.flatten().tolist()) for member in drawn}) == MEMBERS


@pytest.mark.parametrize("channels", [1, 3])
def test_convolution_weights_lie_with_their_channels_last(channels: int) -> None:
    weights = torch.randn(MEMBERS, 4, channels, 3, 5)
    laid = images_last(weights)
    assert torch.equal(laid, weights)
    assert laid.shape == weights.shape
    for member in laid:
        assert member.stride() == (channels * 15, 1, channels * 5, channels)
    for other in (weights[0], torch.randn(MEMBERS, 4, 3)):
        assert images_last(other) is other
