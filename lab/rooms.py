"""Draws the rooms of ipvsd/ and their imports, read from the code, into docs/ARCHITECTURE.md.

The diagram is Mermaid text: code hosting sites draw it, and everybody else can read it. An arrow
that follows from others is left out.
"""

import ast
import re
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PAGE = HOME / "docs" / "ARCHITECTURE.md"
BLOCK = re.compile(r"(<!-- make diagram writes this: -->\n).*(<!-- to here -->)", re.DOTALL)

Arrows = dict[str, set[str]]


def room(name: str) -> str:
    """Return the room, or the loose module, that a dotted name lies in."""
    return name.split(".")[1] if "." in name else ""


def imports() -> Arrows:
    """Return which rooms each room imports."""
    arrows: Arrows = {}
    for path in sorted((HOME / "ipvsd").rglob("*.py")):
        parts = path.relative_to(HOME / "ipvsd").with_suffix("").parts
        own = parts[0]
        if own in ("__init__", "__main__"):
            continue
        targets = arrows.setdefault(own, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                if node.module == "ipvsd":
                    targets |= {alias.name for alias in node.names}
                elif node.module.startswith("ipvsd."):
                    targets.add(room(node.module))
    return {own: targets & set(arrows) - {own} for own, targets in arrows.items()}


def reachable(arrows: Arrows, start: str) -> set[str]:
    """Return the rooms that can be reached from one, by any number of arrows."""
    found: set[str] = set()
    todo = list(arrows[start])
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += arrows[name]
    return found


def reduced(arrows: Arrows) -> Arrows:
    """Return the arrows without those that follow from others."""
    return {
        own: {
            target
            for target in targets
            if not any(target in reachable(arrows, other) for other in targets - {target})
        }
        for own, targets in arrows.items()
    }


def diagram() -> str:
    """Return the diagram."""
    arrows = imports()
    rows = ["```mermaid", "flowchart TD"]
    for name in sorted(arrows):
        loose = (HOME / "ipvsd" / f"{name}.py").exists()
        rows.append(f'    {name}["{name}.py"]' if loose else f'    {name}["{name}/"]')
    for own, targets in sorted(reduced(arrows).items()):
        rows += [f"    {own} --> {target}" for target in sorted(targets)]
    return "\n".join([*rows, "```", ""])


def page(text: str) -> str:
    """Return a page with the diagram of today."""
    return BLOCK.sub(lambda match: match.group(1) + diagram() + match.group(2), text)


def main() -> int:
    """Write the diagram into the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE.relative_to(HOME))
    return 0


if __name__ == "__main__":
    sys.exit(main())
