#!/usr/bin/env python3
"""Runs the cells of a notebook in order, without Jupyter, and prints what they give; with --write, that becomes its outputs.

    python examples/python/run_notebook.py examples/python/quickstart.ipynb
"""

import argparse
import ast
import contextlib
import io
import json
import os
from pathlib import Path


def shown(value):
    """A cell's last value, as Jupyter shows it: as text, and as HTML where it has some."""
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return data


def run_cell(source, namespace, count):
    """The cell's outputs in nbformat's words. What it raises comes through."""
    body = ast.parse(source)
    last = ast.Expression(body.body.pop().value) if body.body and isinstance(body.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(body, f"<cell {count}>", "exec"), namespace)
        if last is not None:
            value = eval(compile(last, f"<cell {count}>", "eval"), namespace)
    outputs = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        outputs.append({"data": shown(value), "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def run(file):
    """The notebook with the outputs of a run in its own folder, as Jupyter starts it."""
    notebook = json.loads(file.read_text())
    namespace = {"__name__": "__main__"}
    with contextlib.chdir(file.parent):
        count = 0
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                count += 1
                cell["outputs"], cell["execution_count"] = run_cell("".join(cell["source"]), namespace, count), count
    return notebook


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--write", action="store_true", help="keep the outputs in NOTEBOOK")
    args = parser.parse_args()
    notebook = run(args.notebook.resolve())
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            print("".join(output.get("text") or output["data"]["text/plain"]).rstrip())
    if args.write:
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        part = args.notebook.with_name(args.notebook.name + ".part")
        part.write_text(text)
        os.replace(part, args.notebook)


if __name__ == "__main__":
    main()
