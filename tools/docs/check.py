#!/usr/bin/env python3
"""Checks docs/: builds the site strictly, follows the links of all Markdown files, runs the code blocks and docstrings.

    check.py site     mkdocs --strict into build/docs; nothing in it may be fetched from elsewhere
    check.py links    relative links and anchors of README, HACKING and their like; that files.md has every key of a recipe, that
                      every environment variable is described, and that README stays short
    check.py code     ```python and ```sh blocks of README and docs/, page by page, in a folder of small networks (fixture.py),
                      then the examples in the docstrings of python/dnateq

A block that cannot be run has `<!-- not run: REASON -->` on the line above it; `<!-- needs NAME -->` runs it where dnateq has
that name, or a package of that name is installed. Where mkdocs is not installed (tools/setup.sh requirements-docs.txt), `site` exits with 77, which ctest counts as skipped.
"""

import argparse
import doctest
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
README_LINES = 90
OUTSIDE = re.compile(r"""<(?:script|img|link|iframe|source|video)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//|@import\s+(?:url\()?["']?https?:""")


def site():
    if importlib.util.find_spec("mkdocs") is None:
        print("docs: skipped, mkdocs isn't in .venv; tools/setup.sh requirements-docs.txt installs it")
        return 77
    # Material's note on its own future is for whoever changes the generator, not for every build
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", ROOT / "mkdocs.yml"],
                           cwd=ROOT, env=environment, check=False)
    if built.returncode:
        return 1
    failed = 0
    for page in sorted((ROOT / "build/docs").rglob("*.html")):
        for found in OUTSIDE.finditer(page.read_text()):
            if 'rel="canonical"' not in found[0]:
                failed = 1
                print(f"{page.relative_to(ROOT)}: fetched from elsewhere: {found[0]}")
    print(f"docs: the site is {ROOT / 'build/docs/index.html'}")
    return failed


def anchors_of(markdown):
    """As code hosts make them from headings."""
    found = set()
    for heading in re.findall(r"^#{1,6} (.*)$", re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE), re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return found


def links():
    """mkdocs knows the pages of docs/ alone."""
    failed = 0
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        file = ROOT / name
        markdown = file.read_text()
        text = re.sub(r"^```.*?^```|`[^`\n]*`(?!\])", "", markdown, flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            to = file if not path else (file.parent / path)
            if not to.exists():
                print(f"{name}: {target} isn't there")
                failed = 1
            elif anchor and to.suffix == ".md" and anchor not in anchors_of(to.read_text()):
                print(f"{name}: {target}: there is no such heading")
                failed = 1
    failed |= not environment_is_described() or not readme_is_short()
    written = set(re.findall(r'json\["(\w+)"\]', (ROOT / "src/core/recipe_json.cc").read_text()))
    described = set(re.findall(r"`(\w+)(?:\[\])?`", (ROOT / "docs/reference/files.md").read_text()))
    for key in sorted(written - described ):
        print(f"docs/reference/files.md does not describe the recipe's key {key}")
        failed = 1
    return failed


def environment_is_described():
    """Every variable that code of ours reads stands on the users' page or in HACKING.md."""
    reads = re.compile(r'(?:getenv\(|environ\.get\(|environ\[)"([A-Z][A-Z0-9_]+)"|\$\{?(DNATEQ_[A-Z0-9_]+)')
    pages = [ROOT / "docs/reference/environment.md", ROOT / "HACKING.md"]
    described = set(re.findall(r"`([A-Z][A-Z0-9_]+)(?:=[^`]*)?`", "".join(page.read_text() for page in pages)))
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.h", "*.cc", "*.py", "*.sh", ".ci/*"], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    missing = {}
    for name in listed.stdout.split():
        if (ROOT / name).is_file():
            for found in reads.findall((ROOT / name).read_text(errors="replace")):
                missing.setdefault(next(filter(None, found)), name)
    described |= {"PATH", "PYTHONPATH"}
    for variable in sorted(set(missing) - described):
        print(f"{missing[variable]} reads {variable}, which neither docs/reference/environment.md nor HACKING.md describes")
    return set(missing) <= described


def readme_is_short():
    lines = len((ROOT / "README.md").read_text().splitlines())
    if lines > README_LINES:
        print(f"README.md has {lines} lines, and {README_LINES} are read in two minutes; move some to docs/")
    return lines <= README_LINES


class Block:
    def __init__(self, page, line, language, text, note):
        self.where = f"{page.relative_to(ROOT)}:{line}"
        self.language, self.text, self.note = language, text, note


def blocks_of(page):
    lines = page.read_text().splitlines()
    found, start = [], None
    for number, line in enumerate(lines):
        if start is None and (fence := re.match(r"```(\w*)", line)):
            start = (number, fence[1])
        elif start is not None and line.startswith("```"):
            note = re.match(r"<!-- (.*) -->", lines[start[0] - 1])
            found.append(Block(page, start[0] + 2, start[1], "\n".join(lines[start[0] + 1:number]), note[1] if note else ""))
            start = None
    return found


def run_python(block, names):
    # as many line breaks as stand above the block, so that a traceback names the page's line
    line = int(block.where.rpartition(":")[2])
    code = compile("\n" * (line - 1) + block.text.replace(".onnx", ".xml"), block.where.rpartition(":")[0], "exec")
    exec(code, names)


def run_shell(block, folder):
    script = "set -euo pipefail\n" + block.text.replace(".onnx", ".xml")
    finished = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(finished.stderr.strip() or finished.stdout)


class AnyResult(doctest.OutputChecker):
    """An example that names no result may have any."""

    def check_output(self, want, got, optionflags):
        return want == "" or super().check_output(want, got, optionflags)


def docstrings(dnateq, fixture):
    """Runs what stands in docstrings after >>>, the skipped too: there are a resnet.onnx, `images` and a `result` of it here."""
    import openvino
    runner = doctest.DocTestRunner(checker=AnyResult())
    with tempfile.TemporaryDirectory(prefix="dnateq-docs-") as folder:
        os.chdir(folder)
        fixture.make(Path(folder))
        Path("model.xml").rename("resnet.xml")
        Path("model.bin").rename("resnet.bin")
        Path("bert").mkdir()
        images = fixture.images()
        result = dnateq.quantize("resnet.xml", images, weight_bits=4, progress=False)
        result.save("resnet-quantized")
        fixture.make_language(Path(folder))
        can_read_text = importlib.util.find_spec("openvino_tokenizers") is not None
        for name in sorted(dnateq.__all__, key=lambda name: name.startswith("evaluate")):  # what others made comes last
            if "language_model" in name and not can_read_text:
                continue
            for test in doctest.DocTestFinder().find(getattr(dnateq, name), f"dnateq.{name}"):
                test.globs = {"dnateq": dnateq, "openvino": openvino, "images": images, "result": result}
                for example in test.examples:
                    example.source = example.source.replace(".onnx", ".xml")
                    example.options.clear()
                runner.run(test)
        os.chdir(ROOT)
    return runner.tries, runner.failures


def code(pages):
    import dnateq
    import fixture
    from dnateq import _program
    tools = Path(tempfile.mkdtemp(prefix="dnateq-docs-"))
    (tools / "dnateq").symlink_to(_program.program())
    os.environ.update(_program.environment())
    examples = os.environ.get("DNATEQ_EXAMPLES", ROOT / "build/release/bin")
    os.environ["PATH"] = f"{tools}:{examples}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    failed = ran = 0
    for page in sorted(pages or [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        page = page.resolve()
        todo = [block for block in blocks_of(page) if block.language in ("python", "sh")]
        if not todo:
            continue
        with tempfile.TemporaryDirectory(prefix="dnateq-docs-") as folder:
            os.chdir(folder)
            make = fixture.make_readme if page.parent == ROOT else fixture.make_language if page.stem == "language" else fixture.make
            names = {"__name__": "__main__", **make(Path(folder))}
            for block in todo:
                needs = block.note.removeprefix("needs ") if block.note.startswith("needs ") else ""
                if block.note.startswith("not run: ") or (needs and not hasattr(dnateq, needs) and not importlib.util.find_spec(needs)):
                    continue
                begin = time.monotonic()
                try:
                    run_python(block, names) if block.language == "python" else run_shell(block, folder)
                except Exception:
                    failed += 1
                    print(f"{block.where} fails:")
                    traceback.print_exc(file=sys.stdout)
                    break  # what follows on the page builds on it
                ran += 1
                print(f"{block.where} {time.monotonic() - begin:.1f} s", flush=True)
            os.chdir(ROOT)
    if not pages:
        tries, failures = docstrings(dnateq, fixture)
        ran, failed = ran + tries, failed + failures
    print(f"docs: {ran} blocks and examples ran, {failed} failed")
    return 1 if failed or not ran else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("site", "links", "code"))
    parser.add_argument("pages", nargs="*", type=Path, help="of code: these alone")
    arguments = parser.parse_args()
    sys.exit(code(arguments.pages) if arguments.what == "code" else site() if arguments.what == "site" else links())


if __name__ == "__main__":
    main()
