# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First steps, in a notebook
#
# From an empty environment to a verdict in ten cells: which of four ways to draw the first weights suits a small
# network, and how sure is that? You need Python 3.11 or newer, and a clone of initlab, in whose folder `docs/notebooks`
# this notebook lies.

# %% tags=["skip-execution"]
# %pip install -q -e ../..

# %% [markdown]
# A network begins with random numbers. Here is one, filled by He's rule, which draws weights of variance 2/fan_in:

# %%
import torch

import initlab

model = torch.nn.Sequential(torch.nn.Linear(13, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
initlab.initialize(model, "he", seed=0)

# %% [markdown]
# Does the rule matter? Train four of them, ten networks each, on a small table of wines that comes with initlab. All
# forty train at once, in a few seconds.

# %%
import sys

# !{sys.executable} -m initlab.train -m data=wine init=zeros,normal,xavier,he name=first_steps logger=none
# %% [markdown]
# The results are tables. This is what a notebook that trains one network of each would have shown, with seed 0:
# %%
from pathlib import Path

from initlab.results.analysis import analyse
from initlab.results.study import read_study

study = read_study(Path("outputs/first_steps"))
members = study.members
members[members["seed"] == 0][["init", "test_score", "epochs_to_threshold"]]

# %% [markdown]
# And with the other seeds? Another seed draws other weights, another order of the rows and another split.

# %%
members.pivot(index="seed", columns="init", values="test_score")

# %% [markdown]
# Which of them would one run each have named? Count the seeds at which one alone is highest; at the others several are.

# %%
scores = members.pivot(index="seed", columns="init", values="test_score")
highest = scores.eq(scores.max(axis=1), axis=0)
highest[highest.sum(axis=1) == 1].sum()

# %% [markdown]
# So look at all ten. Each line is a mean, in the band of its 95 % interval.

# %%
# %matplotlib inline
from initlab.figures.curves import learning_curves

analysis = analyse(study)
learning_curves(analysis)

# %% [markdown]
# The verdict, pair by pair: *better* or *worse* where the interval of the difference leaves out 0, *equivalent* where
# it lies within a difference that does not matter, else *undecided*.

# %%
analysis.pairs[["a", "b", "difference", "low", "high", "verdict"]].round(3)

# %% [markdown]
# Why does `normal`, with a standard deviation of 0.01, take longer? Look at a deep network before it is trained: the
# signal fades from layer to layer, and the gradient with it.

# %%
from initlab.figures.signal import signal_by_depth

layers = [module for _ in range(20) for module in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
deep = torch.nn.Sequential(*layers, torch.nn.Linear(64, 3))
batch = torch.randn(128, 64, generator=torch.Generator().manual_seed(0))
tables = {name: initlab.probe_model(deep, batch, scheme=name, seeds=3, seed=0) for name in ("normal", "xavier", "he")}
signal_by_depth(tables)

# %% [markdown]
# In words, for each of the three:

# %%
from initlab.propagation.verdict import judge

for name, table in tables.items():
    print(f"{name}: {judge(table)}")

# %% [markdown]
# Go on with [the textbook](../textbook/index.md), which puts what students are taught to the test, or compare on
# [your own data and network](../guides/compare.md).
