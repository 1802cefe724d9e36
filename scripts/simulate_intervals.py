"""How often initlab's intervals hold, by simulation on problems whose truth is known.

A problem is a pool of a million rows. A study draws a data set from it, trains four initializations of a small network
on it with 50 seeds, and says how good each is and how far any two are apart. What is true of the problem is known from
all studies together; so it can be counted how often the interval of a mean and that of a difference hold it, and in how
many studies any of the six simultaneous intervals does not (the family-wise error of "better").

Beside it stands what was done before: the same split for all seeds, a sign-flip test over seeds, Holm's correction.

    python -m scripts.simulate_intervals --studies 1000 --out simulation.jsonl --table docs/simulation.md
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.data.synthetic import spirals, teacher
from initlab.jobs.looks import look_sizes
from initlab.results.confidence import LEVEL
from initlab.results.crossed import Estimate, RowScores, estimate_difference, estimate_mean
from initlab.results.multiplicity import pairwise_significance

POOL = 1_000_000  # rows of a problem
SEEDS = (10, 20, 50)
TESTED = (36, 300, 10_000)
SCALES = (1.0, 1.0, 1.6, 0.5)  # of He's standard deviation: the first two are one initialization under two names
TEST_SHARE = 0.2
WIDTH, STEPS, BATCH, MOMENTUM = 16, 60, 32, 0.9
AT_ONCE = 4_000_000  # predictions in memory
FLIPS = 999
MOST_SEEDS = 200
ROWS_AT_ONCE = 400_000  # of data sets, in memory
PAIRS = tuple(combinations(range(len(SCALES)), 2))

HEAD = f"""# How often the intervals hold

A problem whose truth is known is a pool of a million rows: three spirals in the plane to be told apart, or a random
network's outputs, with noise, to be fitted. A study draws a data set from it, a fifth of it test rows, and trains four
initializations of a network with {WIDTH} hidden units: two are one and the same under two names, one has larger and one
has smaller weights. What is true of the problem is the mean of all studies, {{studies:,}} for each row below.

- *a mean*: how often the 95 % interval of a candidate's mean score holds the truth, and *a difference*: that of the
  difference of two by itself. Both should be 95 %.
- *any of six pairs wrong*: in how many studies one of the six simultaneous intervals leaves out the true difference.
  Whatever initlab calls better or equivalent is right in all others. It should be 5 %, and at most that over all looks
  of a study with `seeds=auto`.
- *as before*: the same for what is usually done: one split for all seeds, a sign-flip test over the seeds, Holm's
  correction. It answers for these test rows, and is read as an answer for the problem.

{{made}}

    python -m scripts.simulate_intervals --studies {{studies}} --table docs/reference/simulation.md

"""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A pool of rows that data sets are drawn from.

    Attributes:
        inputs: Shape (rows, features).
        targets: Classes, shape (rows,); or numbers, shape (rows, 1).
        outputs: Of a network.
        rate: Learning rate.
    """

    inputs: Tensor
    targets: Tensor
    outputs: int
    rate: float

    @property
    def counts(self) -> bool:
        """Whether a row is right or wrong."""
        return self.targets.dim() == 1


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Attributes:
        problem: `spirals` (classification) or `teacher` (regression).
        tested: Test rows of a member.
        resplit: Whether each seed has a split of its own; else all share one.
        looks: Whether a study is looked at again and again, as with `seeds=auto`.
    """

    problem: str
    tested: int
    resplit: bool
    looks: bool = False

    @property
    def seeds(self) -> Sequence[int]:
        """How many seeds a study has, one number after the other."""
        return look_sizes(MOST_SEEDS) if self.looks else SEEDS

    @property
    def rows(self) -> int:
        """Of a data set."""
        return round(self.tested / TEST_SHARE)


@dataclass(frozen=True)
class Studies:
    """What some studies measured.

    Attributes:
        scores: Results by row, shape (studies, candidates, seeds, tested).
        rows: Which rows of its data set a member was tested on, shape (studies, seeds, tested); None: all on the same.
    """

    scores: NDArray[Any]
    rows: NDArray[np.int64] | None


def load_problem(name: str) -> Problem:
    """A problem by its name."""
    if name == "spirals":
        data = spirals(rows=POOL, turns=0.75, noise=0.15, seed=1)
        rate = 0.1
    else:
        data = teacher(rows=POOL, noise=0.5, seed=1)
        rate = 0.03
    splits = (data.train, data.val, data.test)
    inputs, targets = (torch.cat([getattr(split, part) for split in splits]) for part in ("inputs", "targets"))
    return Problem(inputs, targets, data.outputs, rate)


def draw_rows(case: Case, studies: int, seeds: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """The rows of some studies.

    Returns:
        Of each study and seed the test rows by their places in the data set, and test and training rows by their
        places in the pool, shape (studies, seeds, …).
    """
    tested, trained, places = [], [], []
    for _ in range(studies):
        known = rng.choice(POOL, case.rows, replace=False)
        shuffles = 1 if not case.resplit else seeds
        orders = np.stack([rng.permutation(case.rows) for _ in range(shuffles)])
        orders = np.broadcast_to(orders, (seeds, case.rows))
        places.append(orders[:, : case.tested])
        tested.append(known[orders[:, : case.tested]])
        trained.append(known[orders[:, case.tested :]])
    return np.stack(places), np.stack(tested), np.stack(trained)


def train(problem: Problem, trained: Tensor, scale: float, generator: torch.Generator) -> list[Tensor]:
    """Train networks with one hidden layer by momentum, all at once.

    Args:
        problem: Whose rows they see.
        trained: The rows of each, by their places in the pool, shape (networks, rows).
        scale: Of the standard deviation of their weights, 1: He's for the outputs of ReLU.
        generator: Draws weights and batches.

    Returns:
        Weights and biases of both layers.
    """
    networks, features = len(trained), problem.inputs.shape[1]
    sizes = [features, WIDTH, problem.outputs]
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        spread = scale / fan_in**0.5
        parameters.append(torch.randn(networks, fan_in, fan_out, generator=generator) * spread)
        parameters.append(torch.zeros(networks, 1, fan_out))
    for parameter in parameters:
        parameter.requires_grad_()
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    for _ in range(STEPS):
        picked = trained.gather(1, torch.randint(trained.shape[1], (networks, BATCH), generator=generator))
        outputs, targets = predict(parameters, problem.inputs[picked]), problem.targets[picked]
        if problem.counts:
            loss = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="sum")
        else:
            loss = (outputs - targets).square().sum()
        gradients = torch.autograd.grad(loss / BATCH, parameters)
        with torch.no_grad():
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(MOMENTUM).add_(gradient)
                parameter.sub_(velocity, alpha=problem.rate)
    return [parameter.detach() for parameter in parameters]


def predict(parameters: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Outputs of networks, each on rows of its own."""
    weight, bias, last_weight, last_bias = parameters
    return torch.baddbmm(last_bias, torch.relu(torch.baddbmm(bias, inputs, weight)), last_weight)


def score_rows(problem: Problem, parameters: Sequence[Tensor], tested: Tensor) -> Tensor:
    """Results of networks by row, as the table `rows` has them, shape (networks, tested)."""
    parts = []
    step = max(1, AT_ONCE // (tested.shape[1] * WIDTH))
    for start in range(0, len(tested), step):
        rows = tested[start : start + step]
        outputs = predict([parameter[start : start + step] for parameter in parameters], problem.inputs[rows])
        targets = problem.targets[rows]
        if problem.counts:
            parts.append(outputs.argmax(-1) == targets)
            continue
        missed = (outputs - targets).square().mean(-1)
        spread = (targets - targets.mean(1, keepdim=True)).square().mean(-1)
        variance = spread.mean(1, keepdim=True)
        fit = 1 - missed.mean(1, keepdim=True) / variance
        parts.append(fit - (missed - (1 - fit) * spread) / variance)
    return torch.cat(parts)


def run_studies(problem: Problem, case: Case, studies: int, rng: np.random.Generator) -> Studies:
    """Draw data sets and train all candidates on them."""
    seeds = max(case.seeds)
    places, tested, trained = draw_rows(case, studies, seeds, rng)
    test_rows, training_rows = (torch.from_numpy(rows).flatten(0, 1) for rows in (tested, trained))
    scores = []
    for scale in SCALES:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        parameters = train(problem, training_rows, scale, generator)
        scores.append(score_rows(problem, parameters, test_rows).reshape(studies, seeds, case.tested))
    return Studies(torch.stack(scores, 1).numpy(), places if case.resplit else None)


@dataclass(frozen=True)
class Answer:
    """What initlab concludes from a study with some seeds.

    Attributes:
        seeds: How many.
        of_candidates: The mean of each candidate.
        of_pairs: The difference of each pair, as `PAIRS` has them.
        members: Means by member, shape (candidates, seeds).
    """

    seeds: int
    of_candidates: Sequence[Estimate]
    of_pairs: Sequence[Estimate]
    members: FloatArray


def conclude(case: Case, found: Studies, *, counts: bool) -> Iterator[Answer]:
    """What initlab concludes from each study, for each number of seeds.

    Args:
        case: What was simulated.
        found: What the studies measured.
        counts: Whether a row is right or wrong.
    """
    for study, seeds in product(range(len(found.scores)), case.seeds):
        rows = None if found.rows is None else found.rows[study, :seeds]
        candidates = [
            RowScores(np.arange(seeds), scores[:seeds].astype(np.float64), rows, case.rows - case.tested)
            for scores in found.scores[study]
        ]
        of_pairs = []
        for a, b in PAIRS:
            found_difference = estimate_difference(candidates[a], candidates[b], counts=counts)
            assert found_difference is not None
            of_pairs.append(found_difference)
        yield Answer(
            seeds,
            [estimate_mean(known, counts=counts) for known in candidates],
            of_pairs,
            np.stack([known.scores.mean(1) for known in candidates]),
        )


def off_by(of_pairs: Sequence[Estimate], truth: FloatArray) -> list[float]:
    """How far the difference of each pair is from what is true."""
    return [abs(one.mean - (truth[a] - truth[b])) for (a, b), one in zip(PAIRS, of_pairs, strict=True)]


def wrong_before(answer: Answer, truth: FloatArray, rng: np.random.Generator) -> bool:
    """Whether a sign-flip test over seeds, with Holm's correction, is wrong of any pair."""
    members = answer.members - truth[:, None]
    differences = np.stack([members[a] - members[b] for a, b in PAIRS])
    signs = rng.choice((-1.0, 1.0), (FLIPS, answer.seeds))
    p = (1 + (np.abs(signs @ differences.T) >= np.abs(differences.sum(1)) - 1e-12).sum(0)) / (1 + FLIPS)
    return bool((np.sort(p) * np.arange(len(p), 0, -1)).min() < 1 - LEVEL)


def simulate(case: Case, studies: int, *, seed: int) -> list[dict[str, Any]]:
    """Simulate a case and count; one row for each number of seeds."""
    rng = np.random.default_rng([seed, case.tested, case.resplit])
    problem = load_problem(case.problem)
    started, at_once = time.perf_counter(), max(1, ROWS_AT_ONCE * max(SEEDS) // (case.rows * max(case.seeds)))
    answers: list[Answer] = []
    for start in range(0, studies, at_once):
        found = run_studies(problem, case, min(at_once, studies - start), rng)
        answers += conclude(case, found, counts=problem.counts)
    truth = np.mean([answer.members.mean(1) for answer in answers if answer.seeds == max(case.seeds)], axis=0)
    if case.looks:
        return [_over_all_looks(case, answers, truth) | {"seconds": round(time.perf_counter() - started)}]
    alone, together = 1 - LEVEL, pairwise_significance(1 - LEVEL, len(SCALES))
    lines = []
    for seeds in SEEDS:
        own = [answer for answer in answers if answer.seeds == seeds]
        off = [off_by(answer.of_pairs, truth) for answer in own]
        of_pairs = [list(zip(by, answer.of_pairs, strict=True)) for by, answer in zip(off, own, strict=True)]
        held = [
            abs(one.mean - value) <= one.half_width(alone)
            for answer in own
            for one, value in zip(answer.of_candidates, truth, strict=True)
        ]
        lines.append(
            {
                **asdict(case),
                "seeds": seeds,
                "studies": len(own),
                "truth": [round(float(value), 4) for value in truth],
                "means": float(np.mean(held)),
                "differences": float(np.mean([by <= one.half_width(alone) for pairs in of_pairs for by, one in pairs])),
                "wrong": float(np.mean([any(by > one.half_width(together) for by, one in p) for p in of_pairs])),
                "wrong_before": (
                    None if case.resplit else float(np.mean([wrong_before(answer, truth, rng) for answer in own]))
                ),
                "share_of_rows": float(np.mean([one.share_of_rows for answer in own for one in answer.of_pairs])),
                "seconds": round(time.perf_counter() - started),
            }
        )
    return lines


def _over_all_looks(case: Case, answers: Sequence[Answer], truth: FloatArray) -> dict[str, Any]:
    """In which studies any interval of any look leaves out the truth.

    Whatever a look then says, better or equivalent, is right in all others, whenever the study ends.
    """
    looks = len(case.seeds)
    together = pairwise_significance((1 - LEVEL) / looks, len(SCALES))
    wrong = [
        any(
            off > one.half_width(together) for off, one in zip(off_by(each.of_pairs, truth), each.of_pairs, strict=True)
        )
        for each in answers
    ]
    by_study = np.array(wrong).reshape(-1, looks)
    numbers = {"seeds": max(case.seeds), "studies": len(by_study), "truth": [round(float(value), 4) for value in truth]}
    return {**asdict(case), **numbers, "wrong": float(by_study.any(1).mean())}


def page_of(lines: Sequence[dict[str, Any]], studies: int) -> str:
    """The results as a page in Markdown, with when and with what they were made."""
    head = ["problem", "test rows", "splits", "seeds", "a mean", "a difference", "any of six pairs wrong", "as before"]
    rows = [head, ["---"] * 3 + ["---:"] * 5]
    for line in lines:
        splits = "one a seed" if line["resplit"] else "the same"
        seeds = f"10 to {line['seeds']}, {len(look_sizes(MOST_SEEDS))} looks" if line["looks"] else str(line["seeds"])
        shares = [line.get(name) for name in ("means", "differences", "wrong", "wrong_before")]
        numbers = ["" if share is None else f"{100 * share:.1f} %" for share in shares]
        rows.append([line["problem"], f"{line['tested']:,}", splits, seeds, *numbers])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    versions = ", ".join(f"{name} {version(name)}" for name in ("initlab", "torch", "numpy", "scipy"))
    made = f"As of {datetime.now(UTC):%Y-%m-%d}, with {versions}:"
    return HEAD.format(studies=studies, made=made) + table + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="of each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("simulation.jsonl"), help="a line a result; what is there stays"
    )
    parser.add_argument("--table", type=Path, help="where the table goes, as Markdown")
    arguments = parser.parse_args()
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    problems = ("spirals", "teacher")
    cases = [
        *(Case(*key) for key in product(problems, TESTED[:2], (True, False), (False,))),
        *(Case(*key) for key in product(problems, TESTED[:1], (True, False), (True,))),
        *(Case(*key) for key in product(problems, TESTED[2:], (True, False), (False,))),
    ]
    for case in cases:
        if any(all(line.get(key, False) == value for key, value in asdict(case).items()) for line in done):
            continue
        lines = simulate(case, arguments.studies, seed=arguments.seed)
        done += lines
        with arguments.out.open("a") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        sys.stdout.write(json.dumps(lines, indent=1) + "\n")
        sys.stdout.flush()
    if arguments.table:
        arguments.table.write_text(page_of(done, arguments.studies))


if __name__ == "__main__":
    main()
