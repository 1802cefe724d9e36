"""What the blocks of a transformer do before training, in words; a report says it without torch."""

import math

import pandas as pd


def block_words(blocks: pd.DataFrame) -> str:
    """What the blocks of networks do before training, in a sentence without a full stop; empty without any.

    Args:
        blocks: As `look_at_blocks` returns it, of one job.
    """
    if blocks.empty:
        return ""
    sizes = blocks[["stream_second_moment", "token_spread"]].astype(float)
    logarithms = sizes.where(sizes > 0).map(math.log)
    means = logarithms.groupby(blocks["position"]).mean().map(math.exp)
    steps = len(means) - 1
    grown = means["stream_second_moment"].iloc[-1] / means["stream_second_moment"].iloc[0]
    kept = means["token_spread"].iloc[-1] / means["token_spread"].iloc[0]
    entropy = float(blocks["attention_entropy"].astype(float).mean())
    parts = [] if math.isnan(entropy) else [f"attention starts with {entropy:.0%} of the entropy of an even look"]
    parts.append(f"{'over ' if steps > 1 else 'in '}{steps} block{'s' * (steps > 1)} the residual stream's mean square "
                 f"becomes {grown:.3g} × what it was")  # fmt: skip
    if kept < 1 / 2:
        parts.append(f"and tokens become alike (rank collapse): {kept:.2g} × of their differences are left")
    elif means["token_spread"].iloc[0] > 0:
        parts.append("and tokens stay apart")
    return ", ".join(parts)
