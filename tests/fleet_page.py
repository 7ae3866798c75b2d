"""Reads the commands of docs/fleet.md."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fleet.md"


def commands(title, prompt):
    """Return the commands of a section, those behind the prompt of root (#) or of a user ($)."""
    (section,) = re.findall(rf"(?ms)^## {title}$(.*?)(?=^## |\Z)", PAGE.read_text())
    return re.findall(
        rf"(?m)^{re.escape(prompt)} (.*)$", "".join(re.findall("(?s)```console(.*?)```", section))
    )
