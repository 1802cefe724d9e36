"""With how many seeds a study with `seeds=auto` is looked at."""

from typing import Final

FIRST_LOOK: Final = 10  # seeds
GROWTH: Final = 1.5  # from one look to the next
NEAR: Final = 1.2  # the last look comes in place of one that would have almost as many seeds: each makes all less sure


def look_sizes(most: int) -> list[int]:
    """With how many seeds a study is looked at, the last time with all that are allowed.

    Example:
        >>> look_sizes(200)
        [10, 15, 22, 33, 49, 73, 109, 163, 200]
        >>> look_sizes(11), look_sizes(5)
        ([11], [5])

    Args:
        most: Seeds that are allowed, at least 1.
    """
    sizes, size = list[int](), FIRST_LOOK
    while size * NEAR <= most:
        sizes.append(size)
        size = int(size * GROWTH)
    return [*sizes, most]
