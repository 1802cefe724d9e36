"""The gradient quotient against its definition, and that it falls."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.initializers.context import Context
from initlab.initializers.schemes.metainit import gradient_quotient
from initlab.initializers.slots import find_slots
from initlab.modules.batch import Batch
from initlab.modules.measuring import differentiable
from tests.initializers.networks import batch_for, chain, refine


def test_the_quotient_is_its_definition() -> None:
    """mean |(g − Hg)/(g ± ε) − 1| with the whole Hessian written out."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    rows = Batch(torch.randn(9, 3, dtype=torch.float64), torch.randint(2, (9,)))
    shapes = [parameter.shape for parameter in model.parameters()]
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    def loss(vector: Tensor) -> Tensor:
        pieces = vector.split([shape.numel() for shape in shapes])
        w1, b1, w2, b2 = (piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True))
        return F.cross_entropy(torch.tanh(rows.inputs @ w1.t() + b1) @ w2.t() + b2, rows.targets)

    gradient = torch.autograd.functional.jacobian(loss, flat)
    hessian = torch.autograd.functional.hessian(loss, flat)
    shifted = gradient + torch.where(gradient >= 0, 1e-5, -1e-5)
    expected = ((gradient - hessian @ gradient) / shifted - 1).abs().mean()
    context = Context(
        find_slots(model), find_slots(model)[-1], frozenset(), rows, F.cross_entropy, None, torch.Generator()
    )
    torch.testing.assert_close(gradient_quotient(model, context, eps=1e-5).detach(), expected)


def test_it_falls() -> None:
    model = chain("tanh")
    report = refine(model, "metainit", batch_for(model), steps=40)
    first, last = (float(word) for word in report["0.weight"].note.split("quotient ")[1].split(" → ")[:2])
    assert last < 0.8 * first


def test_hard_sigmoids_have_second_and_third_derivatives() -> None:
    """torch's own has none: MobileNetV3 was refused."""
    model = nn.Sequential(nn.Linear(8, 16), nn.Hardsigmoid(), nn.Linear(16, 3)).double()
    rows = batch_for(model)
    assert "quotient" in refine(model, "metainit", rows, steps=2)["0.weight"].note
    with torch.no_grad(), differentiable(model):
        replaced = model(rows.inputs)
    torch.testing.assert_close(replaced, model(rows.inputs))
