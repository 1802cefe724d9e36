"""Adaptive optimizers make initialization less critical?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.spread import draw_spread, judge_spread

SIDES = {"sgd": "with SGD", "adam": "with Adam"}


def judge(tables: Tables) -> Finding:
    """The claim holds if starts lie less far apart with Adam."""
    return judge_spread(tables, SIDES)


def draw(tables: Tables) -> Figure:
    """The score of each start, with both optimizers."""
    return draw_spread(tables, SIDES)
