"""The little Markdown that model cards are written in, as HTML: headings, lists, tables, code, paragraphs.

Everything is escaped first; there are no links, images or raw HTML, so that a card can do nothing but be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from itertools import groupby

from markupsafe import Markup

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:-]+")


def html(text: str, top: int = 2) -> Markup:
    """Markdown as HTML; its first level of headings becomes `<h{top}>`.

    >>> str(html("# A `b`"))
    '<h2>A <code>b</code></h2>'
    """
    return Markup("\n".join(_blocks(text.splitlines(), top)))


def bare(text: str) -> str:
    """Markdown as one line of plain text.

    >>> bare("# A `b` and **c**")
    'A b and c'
    """
    return html(text).striptags()


def _blocks(lines: list[str], top: int) -> Iterator[str]:
    for kind, group in groupby(lines, _kind):
        block = list(group)
        if kind == "heading":
            yield from (_heading(line, top) for line in block)
        elif kind == "list":
            yield f"<ul>{''.join(f'<li>{_inline(line.lstrip()[2:])}</li>' for line in block)}</ul>"
        elif kind == "table":
            yield _table(block)
        elif kind == "text":
            yield f"<p>{_inline(' '.join(line.strip() for line in block))}</p>"


def _kind(line: str) -> str:
    stripped = line.strip()
    if not stripped:
        return ""
    if re.match(r"#{1,6} ", stripped):
        return "heading"
    if stripped.startswith(("- ", "* ")):
        return "list"
    return "table" if stripped.startswith("|") else "text"


def _heading(line: str, top: int) -> str:
    marks, _, words = line.strip().partition(" ")
    level = min(len(marks) + top - 1, 6)
    return f"<h{level}>{_inline(words)}</h{level}>"


def _table(lines: list[str]) -> str:
    rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in rows[0]) if rows else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [_inline(cell.strip().replace("\\|", "|")) for cell in _CELL.split(inner)]


def _inline(text: str) -> str:
    """Cards escape `<` themselves; what they escaped is not escaped twice."""
    safe = escape(unescape(text), quote=True)
    return _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", safe))
