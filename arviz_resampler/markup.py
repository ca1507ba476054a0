"""HTML of objects that show themselves: a badge, a table, and a page around them. Knows no other library.

Colors are those of the text around, mixed with those of verdicts on a transparent ground, so one style is
read on light and on dark pages. There are no scripts, and what comes from users is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

COLORS = {"good": "#2a7f3e", "low": "#b26b00", "unreliable": "#c0392b", "failed": "#555555"}
SIGNS = {"good": "✔", "low": "▲", "unreliable": "✖", "failed": "✖"}

_NAME = "arviz-resampler"
# JupyterLab aligns cells to the right by a rule that is more specific than one class.
_STYLE = f"""
div.{_NAME} {{ line-height: 1.4; margin: 0.3em 0; overflow-x: auto; }}
div.{_NAME} p {{ margin: 0.3em 0; }}
div.{_NAME} table {{
  border: 0; border-collapse: collapse; color: inherit; font-size: inherit; margin: 0.3em 0; }}
div.{_NAME} tbody tr:nth-child(n) {{ background: transparent; }}
div.{_NAME} tr :is(th, td) {{
  border: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  padding: 0.15em 1.2em 0.15em 0; text-align: left !important; vertical-align: top; }}
div.{_NAME} b.verdict {{ color: color-mix(in srgb, var(--verdict) 65%, currentColor); white-space: nowrap; }}
div.{_NAME} p.verdict {{
  background: color-mix(in srgb, var(--verdict) 12%, transparent);
  border-left: 4px solid var(--verdict); padding: 0.2em 0.6em; }}
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """A value as HTML: numbers in four digits, any other as its text."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(f"{value:.4g}" if isinstance(value, float) else str(value)))


def badge(verdict: str, text: str = "") -> Html:
    """A verdict with its color and sign; with a text a paragraph."""
    color = f'style="--verdict: {COLORS.get(verdict, "currentColor")}"'
    word = f'<b class="verdict" {color}>{SIGNS.get(verdict, "")} {escaped(verdict)}</b>'
    return Html(f'<p class="verdict" {color}>{word}: {escaped(text)}</p>' if text else word)


def table(columns: Sequence[object], rows: Iterable[Sequence[object]], *, keys: int = 1) -> Html:
    """Rows of cells.

    Parameters
    ----------
    columns : sequence
        Titles of the columns; nothing for a table without.
    rows : iterable of sequence
        The cells.
    keys : int, default 1
        How many cells of a row say what it is of.
    """
    head = f"<thead>{_row(columns, len(columns))}</thead>" if columns else ""
    return Html(f"<table>{head}<tbody>{''.join(_row(row, keys) for row in rows)}</tbody></table>")


def _row(cells: Sequence[object], keys: int) -> str:
    tags = ["th"] * keys + ["td"] * (len(cells) - keys)
    shown = (f"<{tag}>{escaped(cell)}</{tag}>" for tag, cell in zip(tags, cells, strict=True))
    return f"<tr>{''.join(shown)}</tr>"


def page(title: object, *parts: object) -> str:
    """A title and parts below it, with the style that they need.

    Examples
    --------
    >>> page("Two <sites>", table(["site"], [["a"]]), "A note.").splitlines()[-1]
    '</style><p><b>Two &lt;sites&gt;</b></p><table>...</table><p>A note.</p></div>'
    """
    shown = [part if isinstance(part, Html) else f"<p>{escaped(part)}</p>" for part in parts]
    heading = f"<p><b>{escaped(title)}</b></p>" if title else ""
    return f'<div class="{_NAME}"><style>{_STYLE}</style>{heading}{"".join(shown)}</div>'
