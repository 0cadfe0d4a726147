"""Tables of plain text.

What a dataset says is shown as it is, never taken for markup or for a command to the terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Control codes but tab and line break, and those that turn the direction of writing.
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def new_table(title: str, *columns: str, show_header: bool = True) -> Table:
    """Make a table whose first column stands out; a heading `>x` makes its column stand at the right."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title=plain(title, "bold"),
        title_justify="left",
        box=SIMPLE,
        show_header=show_header,
        collapse_padding=True,
    )
    for index, name in enumerate(columns or ("", "")):
        right, style = name.startswith(">"), "cyan" if index == 0 else None
        table.add_column(
            name.lstrip(">"),
            style=style,
            no_wrap=index == 0,
            overflow="fold",
            justify="right" if right else "left",
        )
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text."""
    table.add_row(*(plain(cell) for cell in cells))


def plain(text: str, style: str = "") -> Text:
    """Give text as it is, brackets and all, in which no code can move the terminal's pen."""
    from rich.text import Text

    return Text(harmless(text), style=style)


def harmless(text: str) -> str:
    """Put a sign in the place of control codes."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)
