"""HTML of a verdict, as the widget shows it. Knows weights and containers; nothing of widgets."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from arviz_resampler.containers import drawn_groups
from arviz_resampler.plots.verdicts import COLORS, SIGNS
from arviz_resampler.weights.diagnostics import k_hat_text
from arviz_resampler.weights.verdict import missed
from arviz_resampler.weights.weights import Weights

_FACT = "display:inline-block;margin-right:1em"


def verdict_badge(prior: Any, weights: Weights, num_samples: int, notes: Iterable[str]) -> str:
    """HTML of a verdict: color, sign and words."""
    found = weights.diagnostics(num_samples)
    distinct = prior[drawn_groups(prior).stats].attrs["n_unique"]
    facts = [
        f"ESS {found.ess:,.0f} of {found.num_guide_samples:,}",
        f"{distinct:,} of {num_samples:,} draws distinct",
        f"k-hat {k_hat_text(found)}",
        missed(weights),
    ]
    if found.verdict == "good":
        facts.append(f"site {weights.costliest_site!r} costs most")
    advice = [] if found.verdict == "good" else [found.advice]
    return _box(found.verdict, found.verdict, facts, advice, notes)


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
