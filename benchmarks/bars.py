"""Pictures of bars as SVG, which are the same wherever they are drawn.

A panel is as wide as a phone's column. Its text has the colour of the page that it
stands in, `standalone` gives it one of its own.
"""

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

#: Told apart in any colour vision, and by brightness alone, on white and on black.
OWN, OTHER, DIFFERENT = "#d55e00", "#7d9cba", "#a8a8a8"
#: In pixels: of a panel, of a line of text, of the thickness of a bar,
#: between panels.
WIDTH, LINE, THICKNESS, GAP = 360, 19, 13, 20
#: Of a letter of twelve pixels, in a wide font.
LETTER = 7.4
#: Where no page gives a colour; each is read on the other's ground, too.
STYLE = (
    "<style>svg{color:#57606a}"
    "@media(prefers-color-scheme:dark){svg{color:#8b949e}}</style>"
)


@dataclass(frozen=True)
class Bar:
    """A line of a panel.

    Attributes
    ----------
    label, text : str
        Before and behind the bar.
    value : float
        Its length.
    colour : str
    """

    label: str
    value: float
    text: str
    colour: str = OTHER


def panel(title, words, bars, widest=None):
    """An SVG element.

    Parameters
    ----------
    title : str
    words : str
        A line below it.
    bars : list of Bar
    widest : int, optional
        Letters that the texts behind the bars have room for; that of the longest.
    """
    left = LETTER * max(len(bar.label) for bar in bars) + 6
    right = LETTER * (widest or max(len(bar.text) for bar in bars)) + 6
    scale = (WIDTH - left - right) / (max(bar.value for bar in bars) or 1.0)
    lines = [
        text(0, 15, title, 'font-size="14" font-weight="600"'),
        text(0, 33, words, 'opacity="0.8"'),
    ]
    for i, bar in enumerate(bars):
        y = 41 + LINE * i
        weight = 'font-weight="600"' if bar.colour == OWN else ""
        lines += [
            text(left - 6, y + 11, bar.label, f'text-anchor="end" {weight}'),
            f'<rect x="{left:.1f}" y="{y}" width="{scale * bar.value:.1f}" '
            f'height="{THICKNESS}" fill="{bar.colour}"/>\n',
            text(left + scale * bar.value + 5, y + 11, bar.text, weight),
        ]
    height = 43 + LINE * len(bars)
    return element(WIDTH, height, title, "".join(lines))


def element(width, height, title, inside):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label={quoteattr(title)} '
        f'font-size="12">\n{inside}</svg>\n'
    )


def text(x, y, words, more):
    where = f'x="{x:.1f}" y="{y}" fill="currentColor"'
    return f"<text {where} {more}>{escape(words)}</text>\n"


def standalone(svg):
    """A file's text of an element: with a font, and colours for light and dark."""
    font = 'font-size="12" font-family="system-ui, sans-serif">'
    return svg.replace('font-size="12">', font + STYLE, 1)


def sheet(panels, title, columns=3):
    """A file's text of several panels of the same size."""
    height = int(re.search(r'height="(\d+)"', panels[0])[1])
    placed = [
        svg.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1)
        for i, svg in enumerate(panels)
        for x, y in [((i % columns) * (WIDTH + GAP), (i // columns) * (height + GAP))]
    ]
    columns, rows = min(columns, len(panels)), -(-len(panels) // columns)
    size = columns * (WIDTH + GAP) - GAP, rows * (height + GAP) - GAP
    return standalone(element(*size, title, "".join(placed)))


def side_by_side(panels):
    """An HTML element of panels, as many in a row as there is room for."""
    return f'<figure class="bars">\n{"".join(panels)}</figure>\n'
