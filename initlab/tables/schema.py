"""The columns of every table, each with its description, and the version that a stored table carries.

`python -m initlab.schemes --columns` shows them; in a Parquet file each field carries its description, too.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pyarrow as pa

# Raised when a column is added, renamed or means something else; `tables.upgrade` then gets one more step.
SCHEMA_VERSION: Final = 6

# What the column `metric` may hold, and how a reader sees it. More is better, and 1 is perfect.
METRICS: Mapping[str, str] = MappingProxyType({"accuracy": "accuracy", "r2": "R²"})

# The least and the greatest that a mean can be.
LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"accuracy": (0.0, 1.0), "r2": (-math.inf, 1.0), "loss": (0.0, math.inf)}
)

WORD, WHOLE, NUMBER = pa.string(), pa.int64(), pa.float64()
DESCRIPTION = b"description"

# What is measured of a member at each epoch on some rows: a column of the history table each.
EPOCH_NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        "loss": "mean over the rows; of train over the epoch's batches, each before its update",
        "score": "over the same rows; what it is says the column metric",
        "gradient_norm": "of the epoch's last step, before clipping; null for val",
    }
)


def _table(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    """A schema of named, typed and described columns."""
    return pa.schema([pa.field(name, kind, metadata={DESCRIPTION: text}) for name, kind, text in columns])


def describe_columns(table: str) -> dict[str, str]:
    """What the columns of a table mean, by name; `table` is a name of `TABLES`."""
    return {field.name: (field.metadata or {})[DESCRIPTION].decode() for field in TABLES[table]}


MEMBERS = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0, in the order of the seeds"),
    ("seed", WHOLE, "of its weights and of the order of its data"),
    ("data", WORD, "name of the data set"),
    ("model", WORD, "name of the network"),
    ("init", WORD, "name of the initialization scheme"),
    ("activation", WORD, "name of the nonlinearity"),
    ("optim", WORD, "name of the optimizer"),
    ("lr", NUMBER, "learning rate"),
    ("metric", WORD, "what the scores are: accuracy or r2"),
    ("status", WORD, "finished, or diverged: its loss stopped being finite"),
    ("diverged_epoch", WHOLE, "the first epoch with a loss that is not finite; null where there is none"),
    ("epochs", WHOLE, "how many it trained; what is measured later is what it was when it stopped"),
    ("train_loss", NUMBER, "mean over the last epoch's batches, each before its update"),
    ("val_loss", NUMBER, "on validation rows, after the last epoch"),
    ("val_score", NUMBER, "on validation rows, after the last epoch"),
    ("best_val_score", NUMBER, "the highest validation score of all epochs, the untrained network's included"),
    ("test_loss", NUMBER, "on test rows, after the last epoch"),
    ("test_score", NUMBER, "on test rows, after the last epoch"),
    ("auc", NUMBER, "mean height of the validation-score curve from epoch 0 on, where it is above 0"),
    ("threshold", NUMBER, "the validation score that epochs_to_threshold counts to"),
    ("epochs_to_threshold", WHOLE, "the first epoch that reached the threshold; null if none did"),
    ("seconds", NUMBER, "the cohort's training time, divided by its members"),
    ("engine", WORD, "how its cohort took a step: vmap, vmap compiled, or loop; null where that was not kept"),
)

HISTORY = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("epoch", WHOLE, "0 is before any training"),
    ("split", WORD, "train or val"),
    ("metric", WORD, "what the score is: accuracy or r2"),
    *((name, NUMBER, text) for name, text in EPOCH_NUMBERS.items()),
)

# One row a member, layer and epoch, in the order in which the layers run. A pre-activation is the input of the
# nonlinearity that follows a layer, or the layer's output where none does; a post-activation is what it makes of it.
# Predictions are for the variances that the weights of the job's networks have, of those that trained together.
SIGNAL = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights"),
    ("epoch", WHOLE, "0 is before any training"),
    ("layer", WORD, "name in the network; `#2` where it runs a second time"),
    ("position", WHOLE, "1 for the layer that runs first"),
    ("units", WHOLE, "units, or channels"),
    ("entries", WHOLE, "numbers that a row has here: units, or channels × pixels"),
    ("pre_mean", NUMBER, "mean of the pre-activations over units and rows"),
    ("pre_std", NUMBER, "standard deviation of the pre-activations over units and rows"),
    ("pre_second_moment", NUMBER, "mean square of the pre-activations: q in the theory"),
    ("post_mean", NUMBER, "mean of the post-activations over units and rows"),
    ("post_std", NUMBER, "standard deviation of the post-activations over units and rows"),
    ("post_second_moment", NUMBER, "mean square of the post-activations"),
    ("dead", NUMBER, "share of the units whose post-activation is 0 for the whole batch"),
    (
        "saturated",
        NUMBER,
        "share of the first 64 rows' pre-activations where |φ'| is below 5 % of its largest, of activations that "
        "flatten at a level, as tanh does; null for ReLU and its kin, which are off where they are flat",
    ),
    ("correlation", NUMBER, "mean product of different inputs' pre-activations, over their mean square"),
    ("distinct_units", NUMBER, "how many units respond differently to the first 64 rows"),
    ("effective_rank", NUMBER, "(Σλ)²/Σλ² of the products of the first 64 rows' pre-activations"),
    (
        "gradient_second_moment",
        NUMBER,
        "mean square of the gradient of a row's loss by the layer's output, before any norm: it has what all that read "
        "the output send back, skip connections too",
    ),
    ("gradient_correlation", NUMBER, "mean product of different rows' gradients, over their mean square"),
    ("weight_norm", NUMBER, "Euclidean norm of the layer's weight"),
    ("weight_gradient_norm", NUMBER, "Euclidean norm of the mean loss's gradient by the weight"),
    ("predicted_second_moment", NUMBER, "pre_second_moment by mean-field theory; null where it has nothing to say"),
    ("predicted_correlation", NUMBER, "correlation by mean-field theory"),
    ("predicted_gradient_second_moment", NUMBER, "from the gradient at the output, as measured, on its way back"),
    ("no_prediction", WORD, "why there is no prediction of the signal; null where there is one"),
    ("no_gradient_prediction", WORD, "why there is no prediction of the gradient; null where there is one"),
)

ROWS = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights, of the order of its data, and of its split"),
    (
        "rows",
        pa.list_(pa.int32()),
        "places of its test rows among all rows of the data set, ascending; null where they are official",
    ),
    (
        "scores",
        pa.list_(pa.float32()),
        "what it scores on each, so that their mean is test_score: 0 or 1 of accuracy, of R² the row's linear part; "
        "null if it has diverged",
    ),
)

HISTOGRAMS = _table(
    ("job", WORD, "name of the job's folder; of its first member"),
    ("layer", WORD, "name in the network"),
    ("position", WHOLE, "1 for the layer that runs first"),
    ("left", NUMBER, "lower end of a bin of the post-activations; of the outputs for the last layer"),
    ("right", NUMBER, "upper end of the bin"),
    ("density", NUMBER, "share of the values in the bin, divided by its width"),
)

SPECTRUM = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights"),
    ("row", WHOLE, "of the batch"),
    ("index", WHOLE, "0 for the largest singular value"),
    ("singular_value", NUMBER, "of the Jacobian of the outputs by the inputs"),
    (
        "predicted_mean_square",
        NUMBER,
        "of all singular values, by mean-field theory; null where there is none",
    ),
)

BLOCKS = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights"),
    ("block", WORD, "name in the network of a block with attention; (tokens) is what enters the first"),
    ("position", WHOLE, "0 for what enters the first block, 1 for what leaves it"),
    ("stream_second_moment", NUMBER, "mean square of the tokens, the residual stream"),
    (
        "token_spread",
        NUMBER,
        "share of a row's mean square in which its tokens differ from their mean; 0 where all have become alike",
    ),
    (
        "attention_entropy",
        NUMBER,
        "entropy of a query's attention over the largest, that of an even look at all keys it may see; null for what "
        "enters",
    ),
)

EIGENVALUES = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights"),
    ("weight", WORD, "name of the weight that acts on a state"),
    ("gate", WORD, "letter of the gate, as torch calls it: i, f, g, o, or r, z, n; null for a plain cell"),
    ("spectral_radius", NUMBER, "the largest modulus of the matrix' eigenvalues"),
)

LAGS = _table(
    ("job", WORD, "name of the job's folder"),
    ("member", WHOLE, "place in its job, from 0"),
    ("seed", WHOLE, "of its weights"),
    ("weight", WORD, "name of the weight that acts on a state"),
    ("lag", WHOLE, "how many steps of it are between the state and the last output"),
    (
        "gradient",
        NUMBER,
        "norm of the gradient by that state, root mean square over rows, of a random direction of the last outputs",
    ),
)

TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {
        **{"members": MEMBERS, "history": HISTORY, "rows": ROWS, "signal": SIGNAL},
        **{"histograms": HISTOGRAMS, "spectrum": SPECTRUM},
        **{"blocks": BLOCKS, "eigenvalues": EIGENVALUES, "lags": LAGS},
    }
)
TABLE_ROWS: Mapping[str, str] = MappingProxyType(
    {
        "members": "one row a member: what it ended with",
        "history": "one row a member, epoch and split: how it got there",
        "rows": "one row a member: what it scores on each test row",
        "signal": "one row a member, layer and epoch: signal and gradient, and what theory says of them",
        "histograms": "one row a layer and bin: how the values are spread before training",
        "spectrum": "one row a member, row and singular value of the Jacobian before training",
        "blocks": "one row a member and block with attention: what it does to the tokens before training",
        "eigenvalues": "one row a member, recurrent weight and gate: how it stretches a state before training",
        "lags": "one row a member, recurrent weight and number of steps back: the gradient against time",
    }
)
