"""An epoch of classic_mnist by `fit`, as a user of Keras writes it.

    KERAS_BACKEND=tensorflow python keras_mnist.py mnist.npz float32|mixed_bfloat16

Of Keras' backends TensorFlow is by far the quickest on a CPU: with 6,000 images an epoch took 1.4 seconds of it, with
JAX 5.1, and with torch 29. XLA (`jit_compile=True`) more than doubles TensorFlow's; several steps in one call save a
quarter.
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers

BATCH, STEPS_IN_A_CALL = 64, 32


def build_network() -> keras.Model:
    """The network of the tutorial, every layer drawn by He's law."""
    he = {"kernel_initializer": "he_normal"}
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", **he),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", **he),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", **he),
            layers.Flatten(),
            layers.Dense(64, activation="relu", **he),
            layers.Dense(10, dtype="float32", **he),
        ]
    )


def main() -> None:
    """Train two epochs, of which the first traces the program, and print the second's seconds and accuracy."""
    data_path, policy = sys.argv[1:]
    keras.mixed_precision.set_global_policy(policy)
    data = np.load(data_path)
    train, test = (
        (data[f"{split}_inputs"].transpose(0, 2, 3, 1).copy(), data[f"{split}_targets"]) for split in ("train", "test")
    )
    network = build_network()
    network.compile(
        keras.optimizers.Adam(0.001),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=STEPS_IN_A_CALL,
    )
    spent = []
    for _ in range(2):
        start, start_cpu = time.perf_counter(), time.process_time()
        seen = network.fit(
            *train, batch_size=BATCH, epochs=1, validation_data=test, validation_batch_size=256, verbose=0
        )
        spent.append((time.perf_counter() - start, time.process_time() - start_cpu))
    found = {
        "training": spent[1][0],
        "training CPU": spent[1][1],
        "first epoch": spent[0][0],
        "first epoch CPU": spent[0][1],
        "accuracy": seen.history["val_accuracy"][0],
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
