"""One notebook of the tutorial on red wine shows which start is best?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.notebooks import draw_notebook, judge_notebook


def judge(tables: Tables) -> Finding:
    """The claim holds if one scheme is better than all others, and nearly every notebook names it."""
    return judge_notebook(tables)


def draw(tables: Tables) -> Figure:
    """All networks, and those of the notebook."""
    return draw_notebook(tables)
