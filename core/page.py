"""One self-contained HTML page: no scripts, no files beside it, nothing fetched."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

_CSS = """
:root { color-scheme: light; }
body { font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; color: #1c1c1c;
       background: #fff; max-width: 66rem; margin: 2rem auto 5rem; padding: 0 1.2rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; border-bottom: 1px solid #ddd;
     padding-bottom: .25rem; }
p, li { max-width: 48rem; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .9rem; max-width: 48rem; }
table { border-collapse: collapse; font-size: .92rem; margin: .8rem 0; }
th, td { text-align: left; padding: .32rem .9rem .32rem 0; vertical-align: top;
         border-bottom: 1px solid #e6e6e6; font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #bbb; }
.lead { color: #444; margin-top: 0; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid #ddd; border-radius: 6px; padding: .6rem .9rem; }
.tile b { display: block; font-size: 1.25rem; }
.tile span { color: #555; font-size: .85rem; }
.miss { color: #a23b00; font-weight: 600; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .82rem; }
"""


@dataclass
class Page:
    """A report under construction: sections are appended, `render` gives the HTML."""

    title: str
    lead: str
    parts: list[str] = field(default_factory=list)

    def section(self, heading: str, *paragraphs: str) -> None:
        """Start a section; `paragraphs` are plain text."""
        self.parts.append(f"<h2>{html.escape(heading)}</h2>")
        for text in paragraphs:
            self.parts.append(f"<p>{html.escape(text)}</p>")

    def figure(self, svg: str, caption: str) -> None:
        """An inline SVG with its caption (plain text)."""
        self.parts.append(
            f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def tiles(self, items: Sequence[tuple[str, str]]) -> None:
        """Headline numbers: (value, what it is)."""
        cells = "".join(
            f'<div class="tile"><b>{html.escape(value)}</b>'
            f"<span>{html.escape(what)}</span></div>"
            for value, what in items
        )
        self.parts.append(f'<div class="tiles">{cells}</div>')

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of plain-text cells; a cell that starts with ``!`` is marked."""
        self.parts.append(_table(head, rows))

    def folded_table(
        self, summary: str, head: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """A table that opens on a click."""
        self._fold(summary, _table(head, rows))

    def listing(self, summary: str, text: str) -> None:
        """Preformatted text that opens on a click."""
        self._fold(summary, f"<pre>{html.escape(text)}</pre>")

    def _fold(self, summary: str, inside: str) -> None:
        self.parts.append(
            f"<details><summary>{html.escape(summary)}</summary>{inside}</details>"
        )

    def render(self) -> str:
        """The page."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{_CSS}</style></head><body>"
            f'<h1>{html.escape(self.title)}</h1><p class="lead">'
            f"{html.escape(self.lead)}</p>{''.join(self.parts)}</body></html>\n"
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    if text.startswith("!"):
        return f'<td class="miss">{html.escape(text[1:])}</td>'
    return f"<td>{html.escape(text)}</td>"


def with_interval(item: dict, scale: float = 1.0, digits: int = 2) -> str:
    """``value [low, high]`` of an estimate, divided by `scale`."""
    numbers = (item["value"], *item["ci95"])
    value, low, high = (f"{x / scale:.{digits}f}" for x in numbers)
    return f"{value} [{low}, {high}]"
