"""What mkdocs does beside itself: the program's own --help as a page, formulas as MathML, links into the repository."""

import ast
import html
import logging
import os
import re
import subprocess
from pathlib import Path

from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("mkdocs.plugins.dnateq")  # a warning here fails `mkdocs build --strict`


def program():
    return Path(os.environ.get("DNATEQ_BINARY", ROOT / "build/release/bin/dnateq"))


def help_of(*command):
    return subprocess.run([program(), *command, "--help"], capture_output=True, text=True, check=True).stdout


# One entry of CLI11's help, such as `  --crop INT:INT in [0 - 16384]    images: centre crop`; a long one has its sentence below.
ENTRY = re.compile(r"""\ \ (?P<option>[-\w,]+)
    (?:\ (?P<kind>(?:TEXT|INT|UINT|FLOAT)(?::\{[^}]*\}|:\w+\ in\ \[[^\]]*\])?))?
    (?P<required>\ REQUIRED)?(?P<many>\ \.\.\.)?
    (?:\ +(?P<sentence>\S.*))?$""", re.VERBOSE)


def what_it_takes(kind):
    """`INT:INT in [2 - 7]` -> `2 to 7`; `TEXT:{rgb,bgr}` -> `rgb, bgr`."""
    if listed := re.fullmatch(r"TEXT:\{(.*)\}", kind):
        return listed[1].replace(",", ", ")
    if within := re.search(r"\[(\S+) - (\S+)\]", kind):
        return f"{within[1]} to {within[2]}"
    return {"TEXT": "text", "INT": "number", "UINT": "number", "FLOAT": "number"}.get(kind, kind)


def options_of(text):
    """Dicts of option, takes, required, sentence: the entries under one heading."""
    entries = []
    for line in text.splitlines():
        if line.startswith("   "):
            entries[-1]["sentence"] = f"{entries[-1]['sentence']} {line.strip()}".strip()
            continue
        found = ENTRY.match(line)
        if found is None:
            raise ValueError(f"this line of the help is not understood; see tools/docs/hooks.py: {line}")
        takes = what_it_takes(found["kind"] or "") + (", more than once" if found["many"] else "")
        entries.append({"option": found["option"], "takes": takes, "required": found["required"], "sentence": found["sentence"] or ""})
    return entries


def section(text, name):
    found = re.search(rf"^{name}:\n((?:  .*\n?)*)", text, re.MULTILINE)
    return options_of(found[1]) if found else []


def command_line_reference():
    """Markdown of every command; raises where the help has a form that this does not know."""
    lines = []
    for command in section(help_of(), "Subcommands"):
        name, text = command["option"], help_of(command["option"])
        positionals, options = section(text, "Positionals"), section(text, "Options")
        named = {option for entry in options for option in entry["option"].split(",")}
        missing = set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE)) - named
        if missing or not positionals:
            raise ValueError(f"of dnateq {name} the page lacks {missing or 'its arguments'}; see tools/docs/hooks.py")
        sentence = command["sentence"]
        lines += [f"## dnateq {name}", "", sentence[:1].upper() + sentence[1:] + ".", "", "```text",
                  f"dnateq {name} {' '.join(entry['option'].upper() for entry in positionals)} [options]", "```", "",
                  "| | takes | |", "|---|---|---|"]
        for entry in positionals + options:
            if entry["option"] == "-h,--help":
                continue
            meaning = html.escape(entry["sentence"], quote=False) + (". **Required.**" if entry["required"] else "")
            cells = [f"`{entry['option'].replace(',', '`, `')}`", entry["takes"], meaning]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        if examples := re.search(r"^Examples?: ((?:.*\n?)*)", text, re.MULTILINE):
            lines += ["", "```text", *(line.strip() for line in examples[1].strip().splitlines()), "```"]
        lines.append("")
    return "\n".join(lines)


# What a reader looks for first; names of dnateq.__all__ that are not here follow.
ORDER = ["quantize", "quantize_many", "quantize_language_model", "evaluate_language_model", "Result", "ManyResult", "allocate",
         "analyze", "load", "extension", "Recipe", "bench", "simulate"]


def python_reference():
    tree = ast.parse((ROOT / "python/dnateq/__init__.py").read_text())
    names = next(ast.literal_eval(node.value) for node in tree.body
                 if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__")
    return "\n\n".join(f"::: dnateq.{name}" for name in sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else 99))


def on_page_markdown(markdown, page, **_):
    if "<!-- every command -->" in markdown:
        if program().exists():
            markdown = markdown.replace("<!-- every command -->", command_line_reference())
        else:
            log.warning("%s is missing, so the page of its commands is empty; make build first", program())

    markdown = markdown.replace("<!-- every name -->", python_reference())

    def to_repository(match):
        target = (ROOT / "docs" / page.file.src_uri).parent / match[2].partition("#")[0]
        if not target.exists():
            log.warning("%s links to %s, which isn't there", page.file.src_uri, match[2])
        inside = str(target.resolve().relative_to(ROOT))
        if inside.startswith("docs/"):
            return match[0]
        return f"`{inside}`" if match[1].strip("`") == inside else f"{match[1]} (`{inside}` in the repository)"

    return re.sub(r"\[([^\]]+)\]\(((?:\.\./)+[^)]+)\)", to_repository, markdown)


def on_page_content(content, page, **_):
    def formula(match):
        tag, source = match[1], html.unescape(match[2]).strip()
        mathml = convert(source[2:-2].strip(), display="block" if tag == "div" else "inline")
        if "\\" in re.sub(r"<annotation.*?</annotation>", "", html.unescape(mathml)):
            log.warning("%s: a formula has a command that latex2mathml does not know: %s", page.file.src_uri, source)
        return f'<{tag} class="formula">{mathml}</{tag}>'

    return re.sub(r'<(div|span) class="arithmatex">(.*?)</\1>', formula, content, flags=re.DOTALL)
