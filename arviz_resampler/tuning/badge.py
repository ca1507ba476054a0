"""HTML of a verdict, as the widget shows it. Knows weights and containers; nothing of widgets."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from arviz_resampler.plots.verdicts import COLORS, SIGNS

_FACT = "display:inline-block;margin-right:1em"


def verdict_badge(prior: Any, weights: Any, num_samples: int, notes: Iterable[str]) -> str:
    """HTML of a verdict: color, sign and words."""
    verdict, advice = weights.judge(num_samples)
    fit = weights.pareto
    k = f"k-hat {fit.k:.2f} (good below {fit.threshold:.2f})" if not fit.reason else f"no k-hat: {fit.reason}"
    distinct = prior["sample_stats_prior"].attrs["n_unique"]
    facts = [
        f"ESS {weights.ess:,.0f} of {weights.num_particles:,}",
        f"{distinct:,} of {num_samples:,} draws distinct",
        k,
    ]
    if verdict == "good":
        return _box(verdict, verdict, [*facts, f"site {weights.costliest_site!r} costs most"], [], notes)
    return _box(verdict, verdict, facts, [advice], notes)


def failure_badge(error: Exception, last: str, notes: Iterable[str]) -> str:
    """HTML of the reason why there is no picture."""
    still = [f"The picture is still that of {last}."] if last else []
    return _box("failed", "no picture", [f"{type(error).__name__}: {error}"], still, notes)


def _box(verdict: str, word: str, facts: list[str], advice: list[str], notes: Iterable[str]) -> str:
    color = COLORS[verdict]
    lines = [
        f'<b style="color:{color}">{SIGNS[verdict]} {word}</b>',
        " ".join(f'<span style="{_FACT}">{html.escape(fact)}</span>' for fact in facts),
        *map(html.escape, advice),
        *(f"Note: {html.escape(note)}" for note in notes),
    ]
    return (
        f'<div role="status" style="border-left:6px solid {color};background:{color}1a;padding:4px 8px;'
        f'margin:4px 0;line-height:1.4;min-height:7em;overflow-wrap:anywhere">{"<br>".join(lines)}</div>'
    )
