"""Several pairs at once: how sure each must be, so that all of them are right together.

By Bonferroni's inequality, which holds however the pairs depend on each other and however few seeds there are. Tukey's
range, which is sharper by some 3 % of an interval's width, is wrong up to 7 % of the time for twenty candidates with a
few seeds each, as the variances of the pairs are not one.

Source: Dunn 1961.
"""

import numpy as np
from numpy.typing import NDArray

from initlab.results.comparison import count_pairs

FloatArray = NDArray[np.float64]


def adjusted_p(p: FloatArray, candidates: int) -> FloatArray:
    """The p of each pair among all pairs of so many candidates.

    Example:
        >>> import numpy as np
        >>> adjusted_p(np.array([0.01, 0.5]), 4)
        array([0.06, 1.  ])

    Args:
        p: Two-sided, one a pair, in [0, 1].
        candidates: How many there are, at least 2.

    Returns:
        In [0, 1], in the same order.
    """
    return np.minimum(1.0, np.asarray(p, dtype=np.float64) * count_pairs(candidates))


def pairwise_significance(significance: float, candidates: int) -> float:
    """How seldom one pair may be wrong, so that with that probability none of all pairs is: `adjusted_p` turned around.

    Args:
        significance: Of all pairs together, in (0, 1).
        candidates: How many there are, at least 2.
    """
    return significance / count_pairs(candidates)
