"""How answers look: JSON for programs, tables for people, colours only where a terminal is."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click
import msgspec

from everloop.kernel.errors import Problem

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
_WIDEST = 72
_LEAST = 16
_BETWEEN = 3
"""So many characters stand between the columns of a table."""
_MOST = 50
_NONE = "–"


def show(value: object, *, as_json: bool) -> None:
    """Print an answer."""
    if as_json:
        text = msgspec.json.encode(value).decode()
        click.echo(msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text)
    elif isinstance(value, bytes):
        sys.stdout.buffer.write(value)
    elif isinstance(value, (list, tuple)):
        _show_list(value)
    elif value is not None:
        _show_one(value)


def show_problem(problem: Problem, *, as_json: bool) -> None:
    """Print an error on standard error."""
    if as_json:
        click.echo(msgspec.json.encode({"error": problem}).decode(), err=True)
        return
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {problem.message}", err=True)
    if problem.hint:
        click.echo(f"  {problem.hint}", err=True)


def _show_list(values: Sequence[object]) -> None:
    if not values:
        click.echo("Nothing.", err=True)
        return
    records = [record for value in values if (record := _record(value)) is not None]
    if len(records) < len(values):
        click.echo("\n".join(_cell(value) for value in values))
        return
    everywhere = list(dict.fromkeys(name for record in records for name in record))
    cells = [{name: _cell(record.get(name)) for name in everywhere} for record in records]
    columns = [name for name in everywhere if any(cell[name] != _NONE for cell in cells)] or everywhere
    rows = [[cell[name] for name in columns] for cell in cells]
    _table([name.replace("_", " ") for name in columns], rows)


def _show_one(value: object, indent: str = "") -> None:
    """A field a line. What is None is left out, records in it are shown below their name."""
    record = _record(value)
    if record is None:
        click.echo(_cell(value, whole=True).rstrip("\n"))
        return
    width = max((len(name) for name in record), default=0)
    for name, item in record.items():
        title = indent + click.style(name.replace("_", " ").ljust(width), bold=True)
        if isinstance(item, (list, tuple)) and item and _record(item[0]) is not None:
            click.echo(title.rstrip())
            _show_list(item)
        elif item and isinstance(item, (msgspec.Struct, Mapping)):
            click.echo(title.rstrip())
            _show_one(item, f"{indent}  ")
        elif item is not None:
            click.echo(f"{title}  {_cell(item, whole=True)}")


def _record(value: object) -> Mapping[str, object] | None:
    if isinstance(value, msgspec.Struct):
        kind = value.__struct_config__
        tag = {str(kind.tag_field): kind.tag} if kind.tag_field else {}
        return tag | {name: getattr(value, name) for name in value.__struct_fields__}
    return value if isinstance(value, Mapping) else None


def _cell(value: object, *, whole: bool = False) -> str:
    if value is None or value == "" or value == () or value == [] or value == {}:
        return _NONE
    if isinstance(value, str):
        text = value[:12] if _DIGEST.fullmatch(value) and not whole else value
    elif isinstance(value, datetime):
        text = value.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    elif isinstance(value, float):
        text = f"{value:.5g}"
    elif isinstance(value, (bool, int, timedelta)):
        text = str(value)
    elif isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        more = f" and {len(value) - _MOST:,} more (--json has all)" if len(value) > _MOST else ""
        text = ", ".join(_cell(item) for item in value[:_MOST]) + more
    elif isinstance(value, (list, tuple)) and not whole:
        text = ", ".join(names) if (names := _names(value)) else f"{len(value):,} listed"
    else:
        text = msgspec.json.encode(value).decode()
    return text if whole or len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _names(values: Sequence[object]) -> list[str]:
    records = [_record(value) or {} for value in values]
    return [str(record["name"]) for record in records] if all("name" in record for record in records) else []


def _table(columns: list[str], rows: list[list[str]]) -> None:
    if sys.stdout.isatty():
        _rich_table(columns, rows)
        return
    one_line = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [columns, *one_line]) for index in range(len(columns))]
    for row in [columns, *one_line]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(columns: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    needs = [_need([column, *(row[place] for row in rows)]) for place, column in enumerate(columns)]
    shown = next((n for n in range(len(needs), 1, -1) if sum(needs[:n]) + _BETWEEN * n < console.width), 1)
    table = Table(box=SIMPLE_HEAD, header_style="bold")
    for column, need in zip(columns[:shown], needs, strict=False):
        table.add_column(column, min_width=need, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[:shown]))
    console.print(table)
    if shown < len(columns):
        console.print(f"For want of width without {', '.join(columns[shown:])}: --json has all.", style="dim")


def _need(cells: Sequence[str]) -> int:
    """How wide a column is at least: an id or a moment is of use whole only; of a sentence a beginning will do."""
    return max(len(cell) if " " not in cell or _MOMENT.match(cell) else min(len(cell), _LEAST) for cell in cells)
