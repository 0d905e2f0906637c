#!/usr/bin/env python3
"""Every figure of README and docs, measured by the commands that stand beside its row in docs/benchmarks.md.

A row is a few commands of this repository and what is read from their output (rows.py). What a row gave is kept in
bench/measured/ROW.json with date, CPU and commit, and committed; a row is run again only when sources have changed since
(--again: in any case). A row that fails is reported and the next one runs. --write puts the tables into the pages, between
the marks `<!-- table NAME -->` and `<!-- end of table -->`. A row stays as it was measured until it is measured again, and
the line below its table says with which sources that was; --check tells whether the pages are what --write would write.

examples:
    bench/tables.py --dry-run                          what would run, in which order
    bench/tables.py --budget 35m --write               as many rows as fit, then the pages
    bench/tables.py --only resnet20-optimal --only minilm-optimal
    bench/tables.py --only accuracy --write            all rows of one table
    bench/tables.py --write-only                       the pages again, from what is kept
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from rows import DIGESTS, ROWS, TABLES

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "bench/measured"  # one file a row; work/ in it is not committed
# What the figures depend on; pages and tests do not change them.
SOURCES = ("include", "src", "bench", "examples", "python/dnateq", "python/src", "CMakeLists.txt", "cmake",
           ":(exclude)bench/tables.py", ":(exclude)bench/rows.py", ":(exclude)bench/measured", ":(exclude,glob)src/**/*_test.cc")
START, END = "<!-- table {} -->", "<!-- end of table -->"
# What a row's first command printed, on any page of OUTPUTS: under the command, or alone.
OUTPUT, PRINTED = "<!-- output {} -->\n{}\n<!-- end of output -->", "<!-- printed {} -->\n{}\n<!-- end of output -->"
OUTPUTS = ("README.md", "docs/examples.md")
# Measured and drawn by language.py.
LANGUAGE = """## Language models

How far forms of SmolLM2-135M-Instruct are from their source, against what they take on disk: lower and further left is better.

<picture><source media="(prefers-color-scheme: dark)" srcset="assets/language-dark.svg">
<img src="assets/language-light.svg" alt="KL to the source against bits a weight on disk, for forms of dnateq, NNCF and llama.cpp."></picture>

The figures, and how they were measured, stand in [Language models](howto/language.md#what-it-costs).
"""


class Failed(Exception):
    """Why a row has no figures, in a sentence."""


def sources_at():
    """The commit that changed the sources last, with a + where they are not committed; empty outside a repository."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("log", "-1", "--format=%h", "--", *SOURCES)
    return commit + ("+" if commit and git("status", "--porcelain", "--", *SOURCES) else "")


def cpu():
    """Its name and how many of it a process may use."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", info, re.MULTILINE)
    flags = set(flags[1].split()) if flags else set()
    has = [label for label, flag in (("AVX2", "avx2"), ("AVX-512", "avx512f"), ("AVX-VNNI", "avx_vnni"),
                                     ("AVX-512 VNNI", "avx512_vnni"), ("AMX", "amx_int8")) if flag in flags]
    return f"{name[1].strip() if name else 'unknown CPU'} ({', '.join(has)}), {len(os.sched_getaffinity(0))} CPUs"


def run_command(command, environment, log, timeout):
    """Standard output. Raises Failed with the last line of standard error, which `log` keeps whole."""
    own = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    with open(log, "a+") as errors:
        errors.write(f"$ {command}\n")
        errors.flush()
        # A session of its own, so that a timeout ends what the command has started as well.
        with subprocess.Popen(["bash", "-c", command], cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=errors, text=True,
                              start_new_session=True) as process:
            try:
                output = process.communicate(timeout=timeout)[0]
            except BaseException as stopped:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                if isinstance(stopped, subprocess.TimeoutExpired):
                    raise Failed(f"it took longer than the {timeout:.0f} s that were left") from None
                raise
        if process.returncode:
            errors.seek(0)
            lines = [line.strip() for line in errors.read().splitlines() if line.strip() and not line.startswith("$ ")]
            reason = lines[-1] if lines else f"exit status {process.returncode}"
            raise Failed(f"{command.split()[0]}: {reason[:300]}")
    return output


def stamp_of(cache):
    file = cache / "work/prepared.json"
    return json.loads(file.read_text()) if file.exists() else {}


def write_json(file, document):
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1))
    part.replace(file)


def measure(row, cache, commit, timeout):
    """Runs a row and keeps what it printed."""
    for path in row.needs:
        if not (ROOT / path).exists():
            raise Failed(f"it needs {path}, which is not there")
    (cache / "work").mkdir(parents=True, exist_ok=True)
    log, start = cache / f"work/{row.name}.log", time.monotonic()
    log.unlink(missing_ok=True)

    def run(command):
        return run_command(command, row.environment, log, max(1.0, timeout - (time.monotonic() - start)))

    for command, made in row.prepare:
        stamps, key = stamp_of(cache), row.written(command)
        if stamps.get(key) != commit or not (ROOT / made).exists():
            run(command)
            write_json(cache / "work/prepared.json", {**stamp_of(cache), key: commit})
    begun = time.monotonic()
    # Read on other machines too: files are named from the repository's root.
    outputs = row.keep([run(command).replace(f"{ROOT}/", "") for command in row.commands])
    record = {"row": row.name, "commands": [row.written(c) for c in [*(c for c, _ in row.prepare), *row.commands]],
              "outputs": outputs, "commit": commit, "cpu": cpu(), "date": datetime.date.today().isoformat(),
              "load": round(os.getloadavg()[0], 1), "seconds": round(time.monotonic() - start, 1),
              "seconds_of_commands": round(time.monotonic() - begun, 1)}
    lines_of(row, record)  # what cannot be read is no measurement
    write_json(cache / f"{row.name}.json", record)
    return record


def lines_of(row, record):
    try:
        return row.read(record["outputs"])
    except Exception as error:
        raise Failed(f"what its commands print is not understood ({type(error).__name__}: {error})") from error


def kept(row, cache):
    """What the row gave before, whatever the sources were; None: nothing, or its commands were others."""
    file = cache / f"{row.name}.json"
    try:
        record = json.loads(file.read_text())
        return record if record["row"] == row.name and isinstance(record["outputs"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fresh(row, cache, commit):
    """What the row gave with these sources and these commands, or None."""
    record = kept(row, cache)
    commands = [row.written(c) for c in [*(c for c, _ in row.prepare), *row.commands]]
    return record if record and record["commit"] == commit and record["commands"] == commands else None


def run_rows(rows, cache, commit, budget, again, say):
    """Runs what is not there yet, in order; returns {row: reason} of those without figures."""
    start, missing = time.monotonic(), {}
    for number, row in enumerate(rows, 1):
        left = budget - (time.monotonic() - start)
        if not again and fresh(row, cache, commit):
            say(f"{number}/{len(rows)} {row.name}: there already")
            continue
        before = kept(row, cache)
        expected = before["seconds"] if before else row.seconds
        if expected > left:
            missing[row.name] = f"not run: about {expected:.0f} s, and {max(0, left):.0f} s are left"
            say(f"{number}/{len(rows)} {row.name}: {missing[row.name]}")
            continue
        try:
            record = measure(row, cache, commit, min(left, max(1800.0, 4 * expected)))
            say(f"{number}/{len(rows)} {row.name}: {record['seconds']:.0f} s")
        except Failed as error:
            missing[row.name] = str(error)
            say(f"{number}/{len(rows)} {row.name}: failed: {error}")
    return missing


# --- pages ------------------------------------------------------------------------------------------------------------

def origin(records):
    """Who measured them, a sentence for each machine, day and state of the sources."""
    origins = {}
    for record in records:
        origins.setdefault((record["date"], record["cpu"], record["commit"]), []).append(record["row"])
    return "\n".join(f"Measured {date} on {processor}, sources of {at or 'unknown origin'}"
                     + (f": {', '.join(names)}" if len(origins) > 1 else "") + "." for (date, processor, at), names in origins.items())


def markdown(table, rows, cache):
    """The table with the rows that were measured, and who measured them; a sentence where there is none."""
    lines, records = [], []
    for row in rows:
        record = kept(row, cache) if row.table == table.name else None
        if record is None:
            continue
        for number, cells in enumerate(lines_of(row, record)):
            if len(cells) != len(table.columns):
                raise Failed(f"row {row.name} has {len(cells)} cells for {len(table.columns)} columns")
            lines.append("| " + " | ".join([f"`{row.name}`" if number == 0 else "", *cells]) + " |")
        records.append(record)
    if not lines:
        return f"No row of this table was measured; `bench/tables.py --only {table.name}` does it."
    head = ["| " + " | ".join(["row", *table.columns]) + " |", "|---" * (len(table.columns) + 1) + "|"]
    return "\n".join([*head, *lines, "", origin(records)])


def digest_text(digest, rows, cache):
    """What a page says of rows that stand in full in docs/benchmarks.md."""
    records = [record for row in rows if row.name in digest.rows and (record := kept(row, cache))]
    if not records:
        return f"Not measured; `bench/tables.py --only {digest.rows[0]}` does it."
    try:
        text = digest.write({record["row"]: record["outputs"] for record in records})
    except Exception as error:
        raise Failed(f"{digest.name} cannot be made of its rows ({type(error).__name__}: {error})") from error
    return f"{text}\n\n{origin(records).replace(chr(10), ' ')}"  # README counts its lines


def commands_of(table, rows, cache):
    """What each measured row ran, and for how long."""
    parts = []
    for row in rows:
        record = kept(row, cache) if row.table == table.name else None
        if record:
            parts += [f"# {row.name}: {record['seconds']:.0f} s, load before and beside it {record['load']}", *record["commands"]]
    return "\n".join(["```text", *parts, "```"]) if parts else ""


def benchmarks_page(tables, rows, cache):
    parts = ["# Benchmarks", "",
             "Written by `bench/tables.py --write`: every row was measured by the commands below its table, run from the repository's",
             "root. The line below a table names the day, the CPU and the commit whose sources were measured. What the commands printed",
             "is kept in `bench/measured/`. Bits on disk are eight times the bytes of the weight file (`model.bin`) over all parameters",
             "of the FP32 network ([files](reference/files.md)).", ""]
    for table in tables:
        parts += [f"## {table.title}", "", table.text, "", markdown(table, rows, cache), ""]
        if commands := commands_of(table, rows, cache):
            parts += [commands, ""]
    return "\n".join([*parts, LANGUAGE])


def between_marks(text, name, content, page):
    """`text` with what stands between the marks of a table replaced. Raises Failed if they are not there."""
    start, end = START.format(name), END
    pattern = re.compile(re.escape(start) + r"\n.*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise Failed(f"{page} has no marks {start} ... {end}, or has them twice")
    return pattern.sub(lambda _: f"{start}\n{content}\n{end}", text)


def with_outputs(text, rows, cache):
    """`text` with what the rows printed that it has a place for."""
    for row in rows:
        record = kept(row, cache)  # its commands may be others than the row's of today
        for mark in (OUTPUT, PRINTED):
            start, end = (re.escape(part) for part in mark.format(row.name, "\n").split("\n\n\n"))
            command = f"$ {record['commands'][-len(record['outputs'])]}\n" if record and mark == OUTPUT else ""
            absent = "" if mark == OUTPUT else "Not measured."  # the program beside it is worth reading without
            block = f"```text\n{command}{record['outputs'][0].strip()}\n```" if record else absent
            written = mark.format(row.name, block)
            text = re.sub(start + r"\n.*?" + end, lambda _, written=written: written, text, flags=re.DOTALL)
    return text


def pages_of(tables, digests, rows, cache, root):
    """Every page's text, as the kept rows make it."""
    pages = {"docs/benchmarks.md": benchmarks_page(tables, rows, cache)}
    for page in OUTPUTS:
        if (root / page).exists():
            pages[page] = with_outputs((root / page).read_text(), rows, cache)
    places = [(page, table.name, markdown(table, rows, cache)) for table in tables for page in table.pages]
    places += [(digest.page, digest.name, digest_text(digest, rows, cache)) for digest in digests]
    for page, name, content in places:
        text = pages.get(page) or (root / page).read_text()
        pages[page] = between_marks(text, name, content, page)
    return pages


def write_pages(tables, digests, rows, cache, root):
    pages = pages_of(tables, digests, rows, cache, root)
    for page, text in pages.items():
        part = root / (page + ".part")
        part.write_text(text)
        part.replace(root / page)
    return list(pages)


def stale(rows, cache, commit):
    """Rows on the pages that other sources or other commands gave."""
    return [row.name for row in rows if kept(row, cache) and not fresh(row, cache, commit)]


# --- command line -----------------------------------------------------------------------------------------------------

def seconds_of(text):
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 90s, 35m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def wanted(rows, only):
    names = {row.name for row in rows} | {row.table for row in rows}
    for name in only:
        if name not in names:
            raise Failed(f"there is no row or table '{name}'; --dry-run lists them")
    return [row for row in rows if not only or row.name in only or row.table in only]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="just this row, or the rows of this table")
    parser.add_argument("--budget", type=seconds_of, default=float("inf"), metavar="TIME",
                        help="no row starts that would end after it: 90s, 35m, 2h")
    parser.add_argument("--again", action="store_true", help="also what was measured with these sources already")
    parser.add_argument("--write", action="store_true", help="then the tables into README.md and docs")
    parser.add_argument("--write-only", action="store_true", help="the tables into the pages, from what is kept; nothing is measured")
    parser.add_argument("--check", action="store_true", help="only say whether the pages are what --write-only would write")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run")
    args = parser.parse_args()
    try:
        chosen, commit = wanted(ROWS, args.only), sources_at()
        if args.dry_run:
            total = 0.0
            for row in chosen:
                there = not args.again and fresh(row, CACHE, commit)
                total += 0 if there else row.seconds
                print(f"{row.name} ({row.table}): " + ("there already" if there else f"about {row.seconds:.0f} s"))
                for command in [*(c for c, _ in row.prepare), *row.commands]:
                    print(f"    {row.written(command)}")
            print(f"about {total / 60:.0f} minutes")
            return
        if args.check:
            other = [page for page, text in pages_of(TABLES, DIGESTS, ROWS, CACHE, ROOT).items() if (ROOT / page).read_text() != text]
            sys.exit(f"tables: {', '.join(other)}: not what bench/tables.py --write-only writes" if other else 0)
        missing = {}
        if not args.write_only:
            missing = run_rows(chosen, CACHE, commit, args.budget, args.again, lambda text: print(f"tables: {text}", flush=True))
        if args.write or args.write_only:
            for page in write_pages(TABLES, DIGESTS, ROWS, CACHE, ROOT):
                print(f"tables: wrote {page}")
            if names := stale(ROWS, CACHE, commit):
                print(f"tables: measured with other sources or commands than today's: {', '.join(names)}")
    except Failed as error:
        sys.exit(f"tables: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    for name, reason in missing.items():
        print(f"tables: {name}: {reason}", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
