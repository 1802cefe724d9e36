"""Many classic_wine networks at once, as a user of JAX writes it: one network's epoch, vectorized and compiled.

    python jax_wine.py wine.npz SEEDS history.npz [EPOCHS]

On a CPU orders are drawn by NumPy: `jax.random.permutation` sorts, which takes half as long there as all the training.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Network = dict[str, dict[str, jax.Array]]
Rows = tuple[jax.Array, jax.Array]
BATCH, EPOCHS, RATE, HIDDEN, CLASSES = 16, 50, 0.01, 10, 3
SCHEMES = {
    "zeros": jax.nn.initializers.zeros,
    "normal": jax.nn.initializers.normal(0.05),
    "xavier": jax.nn.initializers.glorot_normal(),  # cut at two standard deviations, as the tutorial's
    "he": jax.nn.initializers.he_normal(),
}


def draw_network(scheme: Callable[..., jax.Array], key: jax.Array, features: int) -> Network:
    """Weights of one network; only the hidden layer takes the scheme."""
    hidden, output = jax.random.split(key)
    return {
        "hidden": {"weight": scheme(hidden, (features, HIDDEN)), "bias": jnp.zeros(HIDDEN)},
        "output": {
            "weight": jax.nn.initializers.glorot_uniform()(output, (HIDDEN, CLASSES)),
            "bias": jnp.zeros(CLASSES),
        },
    }


@partial(jax.jit, static_argnums=(1, 2))
def draw_networks(key: jax.Array, seeds: int, features: int) -> Network:
    """Weights of all networks, stacked, one scheme's after another's."""
    keys = jax.random.split(key, seeds)
    drawn = [
        jax.vmap(lambda key, scheme=scheme: draw_network(scheme, key, features))(keys) for scheme in SCHEMES.values()
    ]
    stacked: Network = jax.tree.map(lambda *parts: jnp.concatenate(parts), *drawn)
    return stacked


def logits_of(network: Network, inputs: jax.Array) -> jax.Array:
    """What one network answers."""
    hidden = jax.nn.relu(inputs @ network["hidden"]["weight"] + network["hidden"]["bias"])
    return hidden @ network["output"]["weight"] + network["output"]["bias"]


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over the rows."""
    return -(jax.nn.log_softmax(logits) * jax.nn.one_hot(targets, CLASSES)).sum(1).mean()


def make_epoch(train: Rows, test: Rows) -> Callable[[Network, jax.Array], tuple[Network, dict[str, jax.Array]]]:
    """An epoch of one network: its steps in the order given, and what it scores then."""
    inputs, targets = train
    rows = len(targets)
    whole = rows // BATCH * BATCH

    def loss_of(network: Network, batch: jax.Array) -> jax.Array:
        return cross_entropy(logits_of(network, inputs[batch]), targets[batch])

    def step(network: Network, batch: jax.Array) -> tuple[Network, jax.Array]:
        loss, gradient = jax.value_and_grad(loss_of)(network, batch)
        return jax.tree.map(lambda weight, slope: weight - RATE * slope, network, gradient), loss

    def epoch(network: Network, order: jax.Array) -> tuple[Network, dict[str, jax.Array]]:
        network, losses = jax.lax.scan(step, network, order[:whole].reshape(-1, BATCH))
        network, last = step(network, order[whole:])
        logits = logits_of(network, test[0])
        record = {
            "train_loss": (losses.sum() * BATCH + last * (rows - whole)) / rows,
            "val_loss": cross_entropy(logits, test[1]),
            "val_accuracy": (logits.argmax(1) == test[1]).mean(),
        }
        return network, record

    return epoch


def make_draw(rows: int, networks: int) -> Callable[[int], Any]:
    """What gives, for the number of an epoch, an order of the rows for each network."""
    if jax.default_backend() == "cpu":
        random = np.random.default_rng(0)
        places = np.tile(np.arange(rows, dtype=np.int32), (networks, 1))
        return lambda _: random.permuted(places, axis=1)
    keys = jax.random.split(jax.random.key(1), networks)
    draw = jax.jit(
        jax.vmap(lambda key, number: jax.random.permutation(jax.random.fold_in(key, number), rows), (0, None))
    )
    return lambda number: draw(keys, number)


def main() -> None:
    """Train them all, write what every epoch measured, and print seconds and the mean accuracy."""
    data_path, seeds, history_path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    epochs = int(sys.argv[4]) if len(sys.argv) > 4 else EPOCHS
    data = np.load(data_path)
    train, test = (
        (jnp.asarray(data[f"{split}_inputs"]), jnp.asarray(data[f"{split}_targets"], jnp.int32))
        for split in ("train", "test")
    )
    networks = draw_networks(jax.random.key(0), seeds, train[0].shape[1])
    draw = make_draw(len(train[1]), seeds * len(SCHEMES))

    start, start_cpu = time.perf_counter(), time.process_time()
    epoch = jax.jit(jax.vmap(make_epoch(train, test)), donate_argnums=0).lower(networks, draw(0)).compile()
    compiled, compiled_cpu = time.perf_counter(), time.process_time()
    history = []
    for number in range(epochs):
        networks, record = epoch(networks, draw(number))
        history.append(record)
    jax.block_until_ready(networks)
    end, end_cpu = time.perf_counter(), time.process_time()

    columns: dict[str, Any] = {name: np.stack([record[name] for record in history]) for name in history[0]}
    np.savez(history_path, init=np.repeat(list(SCHEMES), seeds), **columns)
    found = {
        "training": end - start,
        "training CPU": end_cpu - start_cpu,
        "training, compiled before": end - compiled,
        "training, compiled before CPU": end_cpu - compiled_cpu,
        "accuracy": float(columns["val_accuracy"][-1].mean()),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
