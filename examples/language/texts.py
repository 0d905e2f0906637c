#!/usr/bin/env python3
"""English prose in the public domain, to calibrate language models with and to judge them by.

    texts.py OUT

Writes OUT/calibration.txt (Mark Twain, The Adventures of Tom Sawyer) and OUT/evaluation.txt (Arthur Conan Doyle, The
Adventures of Sherlock Holmes), UTF-8, a paragraph a line with an empty line after it. They lie in two Debian packages, which
are downloaded with apt-get, not installed. Files that are there already and whole are left alone.
"""

import argparse
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Text(NamedTuple):
    name: str
    package: str  # of Debian
    file: str  # in the package, below /
    first: str  # the line that the work begins with
    sha256: str  # of what is written


SOURCES = "usr/share/gocode/src/github.com"
TEXTS = (
    Text(
        "calibration.txt",
        "golang-github-klauspost-compress-dev",
        f"{SOURCES}/klauspost/compress/testdata/Mark.Twain-Tom.Sawyer.txt",
        "CHAPTER I",
        "f48e64843b5e4180d3211f46840e73db902ece05b90f784dfe686a176c82f7a9",
    ),
    Text(
        "evaluation.txt",
        "golang-github-jdkato-prose-dev",
        f"{SOURCES}/jdkato/prose/testdata/sherlock.txt",
        "ADVENTURE I. A SCANDAL IN BOHEMIA",
        "26a274ceb9c317b053eba2cf292f57fe344667e30979ddd5345884f907cc477e",
    ),
)


class TextError(Exception):
    """What is missing, and what to do, in one sentence."""


def download(package: str, folder: pathlib.Path) -> None:
    """Unpacks a Debian package into a folder."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    try:
        if run("apt-get", "download", package).returncode and os.geteuid() == 0:
            run("apt-get", "update", "-qq")  # a new machine has no lists of packages
            run("apt-get", "download", package)
        for file in folder.glob("*.deb"):
            run("dpkg-deb", "-x", file.name, ".")
            file.unlink()
    except FileNotFoundError:
        pass  # no Debian: the file is missing, as its reader says


def prose(raw: str, first: str) -> str | None:
    """The work alone, without what was printed before and after it, and without breaks of lines within a paragraph."""
    match = re.search(rf"^{re.escape(first)}$(.*?)^End of the Project Gutenberg", raw, re.MULTILINE | re.DOTALL)
    if not match:
        return None
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", first + match.group(1))]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def whole(path: pathlib.Path, text: Text) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == text.sha256


def make(text: Text, out: pathlib.Path) -> None:
    path = out / text.name
    if whole(path, text):
        return
    with tempfile.TemporaryDirectory(dir=out, prefix=".download-") as scratch:
        file = pathlib.Path("/", text.file)
        if not file.is_file():
            download(text.package, pathlib.Path(scratch))
            file = pathlib.Path(scratch, text.file)
        if not file.is_file():
            raise TextError(
                f"{path.name} cannot be made, since the Debian package {text.package}, which holds its text, "
                f"is neither installed nor to be had by apt-get; have /{text.file} from it, or go on with a text of your own."
            )
        content = prose(file.read_text(encoding="utf-8-sig"), text.first)
        made = pathlib.Path(scratch, text.name)
        made.write_text(content or "", encoding="utf-8")
        if not whole(made, text):
            raise TextError(
                f"{path.name} cannot be made, since the text in the Debian package {text.package} is not the one that is known here; "
                "go on with a text of your own."
            )
        os.replace(made, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="folder to write the two files into")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    try:
        for text in TEXTS:
            make(text, out)
    except TextError as error:
        print(f"texts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
