"""What mkdocs does beside itself: the program's own --help as a page, formulas as MathML, links into the repository."""

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


def options_of(text):
    """(name and value, sentence) of the entries under one heading of CLI11's help."""
    entries = []
    for line in text.splitlines():
        entry = re.match(r"  (\S.*?)(?:\s{2,}(.*)|$)", line) if not line.startswith("   ") else None
        if entry is not None:
            # a name that fills its column leaves one space before the sentence
            name, sentence = entry[1], entry[2]
            if sentence is None and (split := re.match(r"(\S+(?: (?:TEXT|INT|UINT|FLOAT)\S*)?(?: REQUIRED)?) (.*)", name)):
                name, sentence = split[1], split[2]
            entries.append([name, sentence or ""])
        elif entries:
            entries[-1][1] = f"{entries[-1][1]} {line.strip()}".strip()
    return entries


def section(text, name):
    found = re.search(rf"^{name}:\n((?:  .*\n?)*)", text, re.MULTILINE)
    return options_of(found[1]) if found else []


def kind_of(name):
    """`--crop INT:INT in [0 - 16384]` -> option and what it takes, the type said once."""
    option, _, kind = name.partition(" ")
    required = "REQUIRED" in kind
    kind = re.sub(r"\b(TEXT|INT|UINT|FLOAT):(INT|UINT|FLOAT)\b", r"\1", kind.replace(" REQUIRED", "").replace("REQUIRED", ""))
    many = kind.endswith("...")
    kind = kind.removesuffix("...").strip().removeprefix("TEXT:")
    return option, kind + (", may be repeated" if many else ""), required


def command_line_reference():
    """Markdown of every command; raises where the help has a form that this does not know."""
    commands = section(help_of(), "Subcommands")
    lines = []
    for command, sentence in commands:
        text = help_of(command)
        positionals, options = section(text, "Positionals"), section(text, "Options")
        if not positionals or len(options) < 3:
            raise ValueError(f"dnateq {command} --help is not understood; see tools/docs/hooks.py")
        mentioned = set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE))
        listed = {option for name, _ in options for option in kind_of(name)[0].split(",")}
        if mentioned - listed:
            raise ValueError(f"dnateq {command}: the page lacks {mentioned - listed}")
        arguments = " ".join(name.split()[0].upper() for name, _ in positionals)
        lines += [f"## dnateq {command}", "", sentence[:1].upper() + sentence[1:] + ".", "", "```text",
                  f"dnateq {command} {arguments} [options]", "```", ""]
        lines += ["| | takes | |", "|---|---|---|"]
        for name, meaning in positionals + options:
            option, kind, required = kind_of(name)
            if option == "-h,--help":
                continue
            meaning = meaning + (" **Required.**" if required else "")
            cells = [f"`{option.replace(',', '`, `')}`", f"`{kind}`" if kind else "", html.escape(meaning, quote=False)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        examples = re.search(r"^Examples?: ((?:.*\n?)*)", text, re.MULTILINE)
        if examples:
            lines += ["", "```text", *(line.strip() for line in examples[1].strip().splitlines()), "```"]
        lines.append("")
    return "\n".join(lines)


def on_page_markdown(markdown, page, **_):
    if "<!-- every command -->" in markdown:
        if program().exists():
            markdown = markdown.replace("<!-- every command -->", command_line_reference())
        else:
            log.warning("%s is missing, so the page of its commands is empty; make build first", program())

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
