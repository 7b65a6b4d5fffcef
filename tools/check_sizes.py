"""Holds the size caps: files of at most 500 lines, functions of at most 60. Raising a cap needs a decision in docs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE_LINES = 500
FUNCTION_LINES = 60
ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "tests", "tools", "frontend")


def main() -> int:
    """Report what is over a cap; 1 when anything is."""
    problems: list[str] = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".js", ".css", ".html") and "node_modules" not in path.parts:
                problems += check(path)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def check(path: Path) -> list[str]:
    """What is over a cap in one file."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    problems = []
    lines = text.count("\n")
    if lines > FILE_LINES:
        problems.append(f"{name}: {lines} lines, at most {FILE_LINES}: split it")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES:
                    problems.append(f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
