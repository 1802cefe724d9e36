"""Batch normalization makes initialization less critical?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.spread import draw_spread, judge_spread

SIDES = {"plain": "without batch normalization", "normed": "with batch normalization"}


def judge(tables: Tables) -> Finding:
    """The claim holds if starts lie less far apart with batch normalization."""
    return judge_spread(tables, SIDES)


def draw(tables: Tables) -> Figure:
    """The score of each start, with and without batch normalization."""
    return draw_spread(tables, SIDES)
