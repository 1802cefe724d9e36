"""Networks whose layers, activation and output size the benchmark sets.

A network is a class, and `conf/model/NAME.yaml` names it. What the program relies on:

- Its constructor is `(input_shape, out_features, activation, *, …)`: the shape of one sample, the number of logits, the
  `Activation` whose `module()` makes every nonlinearity, a new one for each place, and what the configuration sets.
  One whose nonlinearities are part of what it is, as an LSTM's, takes no `activation`.
- It maps (batch, *input_shape) to (batch, out_features).
- One that reads sequences step by step declares two keywords more, which it is given: `vocabulary`, how many kinds of
  tokens there are, or None where each step is a vector of numbers: its inputs are (batch, steps), int64, or (batch,
  steps, features); and `every_step`: whether it answers at each step, (batch, steps, out_features), or only once, after
  the last. What it answers at a step depends on no later one.
- `output` is its last Linear and is registered last: the rule `init.output` applies to it.
- It refuses settings that make no sense with a `UserError` of one line, while it is built.
- If it has residual branches, `residual_branches()` lists them in order, each as the list of its layers with weights
  (Linear or convolution) in the order they act, so that schemes such as Fixup can scale them. The stem, projections on
  shortcuts and `output` are in none. With the last layer of a branch at zero, no other weight of it matters.
- If learned multipliers can end its branches, `residual_multipliers()` lists these modules in order, each once, with a
  parameter `factor`; an empty list where there are none. A module whose parameters start from a number whatever the
  scheme, as these do, says so in `initlab_starts()`: by their names the numbers, `{"factor": 0.0}`.
- If norms end its branches, `residual_norms()` lists them, as a ResNet's last batch norms. If the skips of its blocks
  are multiplied by a number, as DeepNorm has it, the blocks say so in an attribute `skip`. If they are multiplied by
  learned ones, as Admin has it, `skip_multipliers()` lists these modules, one a branch, in the order of the branches,
  with a parameter `factor`; an empty list where there are none.
- An attention whose maps schemes such as mimetic may set has Linear layers `query`, `key`, `value` and `out`, and the
  number of its `heads`.

What initializers fill are the weights of torch's own layers. A network of the user's own that multiplies by parameters
of its own says so, in the module that holds them; else they keep what its constructor gave them, which is said before
training, and refused where it is more than half of all weights:

    class Mix(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.a = nn.Parameter(torch.empty(width, width))
            self.shift = nn.Parameter(torch.zeros(width))

        def initlab_weights(self):  # "out in", as nn.Linear stores its weight, or "in out"; and a bias, if there is one
            return {"a": ("in out", "shift")}

        def forward(self, inputs):
            return inputs @ self.a + self.shift
"""
