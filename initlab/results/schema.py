"""The columns of every table, and the version that a stored table carries."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

SCHEMA_VERSION = 2

# What the column `metric` may hold, and how a reader sees it. More is better, and 1 is perfect.
METRICS: Mapping[str, str] = MappingProxyType({"accuracy": "accuracy", "r2": "R²"})

# The least and the greatest that a mean can be.
LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"accuracy": (0.0, 1.0), "r2": (-math.inf, 1.0), "loss": (0.0, math.inf)}
)

MEMBERS = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("seed", pa.int64()),
        ("data", pa.string()),
        ("model", pa.string()),
        ("init", pa.string()),
        ("activation", pa.string()),
        ("optim", pa.string()),
        ("lr", pa.float64()),
        ("metric", pa.string()),  # what the scores are: accuracy or r2
        ("status", pa.string()),  # finished, or diverged: its loss stopped being finite
        ("diverged_epoch", pa.int64()),  # null where it did not
        ("epochs", pa.int64()),
        ("train_loss", pa.float64()),  # mean over the last epoch's batches, each before its update
        ("val_loss", pa.float64()),
        ("val_score", pa.float64()),
        ("best_val_score", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_score", pa.float64()),
        ("auc", pa.float64()),  # mean height of the validation-score curve from epoch 0 on, where it is above 0
        ("threshold", pa.float64()),  # a validation score
        ("epochs_to_threshold", pa.int64()),  # first epoch that reached it; null if none did
        ("seconds", pa.float64()),  # the cohort's training time, divided by its members
    ]
)

HISTORY = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("epoch", pa.int64()),  # 0 is before any training
        ("split", pa.string()),  # train or val
        ("metric", pa.string()),  # what the score is: accuracy or r2
        ("loss", pa.float64()),
        ("score", pa.float64()),
        ("gradient_norm", pa.float64()),  # of the epoch's last step, before clipping; null for val
    ]
)

# One row a member, layer and epoch, in the order in which the layers run. A pre-activation is the input of the
# nonlinearity that follows a layer, or the layer's output where none does; a post-activation is what it makes of it.
# Predictions are for the variances that the weights of the job's networks have, of those that trained together.
SIGNAL = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("seed", pa.int64()),
        ("epoch", pa.int64()),  # 0 is before any training
        ("layer", pa.string()),  # name in the network; `#2` where it runs a second time
        ("position", pa.int64()),  # 1 for the first layer
        ("units", pa.int64()),  # or channels
        ("entries", pa.int64()),  # numbers that a row has here: units, or channels × pixels
        ("pre_mean", pa.float64()),
        ("pre_std", pa.float64()),
        ("pre_second_moment", pa.float64()),  # over units and rows: q in the theory
        ("post_mean", pa.float64()),
        ("post_std", pa.float64()),
        ("post_second_moment", pa.float64()),
        ("dead", pa.float64()),  # share of the units whose post-activation is 0 for the whole batch
        (
            "saturated",
            pa.float64(),
        ),  # share of the first 64 rows' pre-activations where |φ'| is below 5 % of its largest
        ("correlation", pa.float64()),  # mean product of different inputs' pre-activations, over their mean square
        ("distinct_units", pa.float64()),  # how many respond differently to the first 64 rows
        ("effective_rank", pa.float64()),  # (Σλ)²/Σλ² of the pre-activations' products of the first 64 rows
        ("gradient_second_moment", pa.float64()),  # of a row's loss, by the pre-activation
        ("gradient_correlation", pa.float64()),  # mean product of different rows' gradients, over their mean square
        ("weight_norm", pa.float64()),
        ("weight_gradient_norm", pa.float64()),  # of the mean loss
        ("predicted_second_moment", pa.float64()),  # by mean-field theory; null where it has nothing to say
        ("predicted_correlation", pa.float64()),
        ("predicted_gradient_second_moment", pa.float64()),  # from the gradient at the output, as measured, on back
        ("no_prediction", pa.string()),  # why there is none
    ]
)

HISTOGRAMS = pa.schema(
    [
        ("job", pa.string()),  # of its first member
        ("layer", pa.string()),
        ("position", pa.int64()),
        ("left", pa.float64()),  # of a bin of the post-activations; of the outputs for the last layer
        ("right", pa.float64()),
        ("density", pa.float64()),
    ]
)

SPECTRUM = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("seed", pa.int64()),
        ("row", pa.int64()),  # of the batch
        ("index", pa.int64()),  # 0 for the largest
        ("singular_value", pa.float64()),  # of the Jacobian of the outputs by the inputs
        ("predicted_mean_square", pa.float64()),  # of all singular values, by mean-field theory
    ]
)

TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {"members": MEMBERS, "history": HISTORY, "signal": SIGNAL, "histograms": HISTOGRAMS, "spectrum": SPECTRUM}
)
