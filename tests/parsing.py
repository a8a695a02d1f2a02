"""Syntax trees of Python files."""

import ast
import gc
from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """The tree of a module. Python 3.11 before 3.11.8 counts the depth wrongly when a collection of garbage falls into the parsing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"), str(path))
    finally:
        if collecting:
            gc.enable()
