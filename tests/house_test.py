"""HACKING's table of folders against the tree: every folder has a row, and includes only what its row names."""

import re
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"/]+)/', re.MULTILINE)
KNOWS_OPENVINO = re.compile(r"^\s*#\s*include\s+<openvino/", re.MULTILINE)
USES_OPENVINO = re.compile(r"\bov::")
FORWARD = re.compile(r"^namespace ov \{\s*(class \w+;\s*)+\}", re.MULTILINE)
# The public headers, and the libraries that every folder may use.
EVERYWHERE = {"dnateq"}


def table(text):
    """(folder, names in its column `depends on`) by row of the table that begins with `| folder |`."""
    rows = {}
    for line in text[text.index("| folder |"):].splitlines()[2:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        folder = cells[0].strip("`").rstrip("/")
        depends = re.sub(r"\(.*?\)", "", cells[2])
        rows[folder] = {name.strip() for name in depends.split(",")} - {"", "nothing"}
    return rows


def sources(folder):
    """Sources and headers of a folder, without tests and what only tests include."""
    files = sorted([*folder.rglob("*.cc"), *folder.rglob("*.h")])
    return [file for file in files if not file.stem.endswith("_test") and not file.name.startswith("test_")]


def breaches(root, rows):
    """A sentence for everything in which the tree under `root` is not as the table says."""
    found = []
    folders = {f"src/{folder.name}" for folder in (root / "src").iterdir() if folder.is_dir()}
    told = {folder for folder in rows if folder.startswith("src/")}
    found += [f"{folder} has no row in HACKING's table" for folder in sorted(folders - told)]
    found += [f"HACKING's table has a row for {folder}, which is not there" for folder in sorted(rows)
              if not (root / folder).is_dir()]
    for folder in sorted(folders & told):
        own, allowed = folder.removeprefix("src/"), rows[folder]
        used = set()
        for file in sources(root / folder):
            text = file.read_text()
            for name in set(INCLUDE.findall(text)) - EVERYWHERE - {own}:
                used.add(name)
                if name not in allowed:
                    found.append(f"{file.relative_to(root)} includes {name}/, which {folder} may not")
            if KNOWS_OPENVINO.search(text) and folder in ROOMS_WITHOUT_OPENVINO:
                found.append(f"{file.relative_to(root)} includes OpenVINO, which {folder} does not know")
        found += [f"{folder} includes nothing of {name}/, which its row names" for name in sorted(allowed - used)]
    for folder in sorted(folders & told):
        if folder.removeprefix("src/") in reachable(rows, folder):
            found.append(f"{folder} depends on itself by way of others")
    return found


ROOMS_WITHOUT_OPENVINO = {f"src/{name}" for name in ("core", "data", "search", "kernels", "accelerator", "report", "cli")}


def reachable(rows, folder):
    seen, todo = set(), list(rows.get(folder, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += rows.get(f"src/{name}", ())
    return seen


def without_include(root):
    """Files that name OpenVINO's types and include nothing that brings them: precompiled headers hide that."""
    found = []
    for file in sorted([*(root / "src").rglob("*.cc"), *(root / "src").rglob("*.h")]):
        seen, todo = set(), [file]
        while todo:
            one = todo.pop()
            if one in seen or not one.is_file():
                continue
            seen.add(one)
            text = one.read_text()
            if KNOWS_OPENVINO.search(text) or FORWARD.search(text):
                break
            todo += [root / "src" / name for name in re.findall(r'#include "([^"]+)"', text)]
        else:
            if USES_OPENVINO.search(re.sub(r"//.*", "", file.read_text())):
                found.append(str(file.relative_to(root)))
    return found


ANONYMOUS = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
TYPE = re.compile(r"^(?:struct|class|enum class|enum|union) (\w+)(?: final)?[ ;:{]", re.MULTILINE)
CONSTANT = re.compile(r"^(?:constexpr|const|inline|static)\b[^;({=]*?\b(\w+)(?:\[\w*\])*(?: = |\{|;)", re.MULTILINE)
FUNCTION = re.compile(r"^[A-Za-z_][^;{}=#]*?\b(\w+)\(([^;{}]*?)\)(?: const)?(?: noexcept)? \{", re.MULTILINE)
GTEST = re.compile(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", re.MULTILINE)


def file_local_names(text):
    """What a file defines in its anonymous namespace, functions with the types of their parameters."""
    names = set()
    for body in ANONYMOUS.findall(re.sub(r"//(?! namespace).*", "", text)):
        names |= set(TYPE.findall(body)) | set(CONSTANT.findall(body))
        names |= {"TEST " + ".".join(test) for test in GTEST.findall(body)}
        for name, parameters in FUNCTION.findall(re.sub(r"(?s)^template <.*?>\n", "", body)):
            if not name.startswith("TEST"):
                types = [re.sub(r"\s*\w*\s*(=.*)?$", "", one.strip()) for one in parameters.split(",")]
                names.add(f"{name}({', '.join(types)})")
    return names


def clashes(root):
    """Names that two files of a folder define for themselves alone, though the folder compiles several files as one."""
    found = []
    for lists in sorted((root / "src").rglob("CMakeLists.txt")):
        text, folder = lists.read_text(), lists.parent
        if "TOGETHER" not in text and "dnateq_together" not in text:
            continue
        libraries = [file for file in sorted(folder.rglob("*.cc")) if not file.name.endswith("_test.cc")]
        tests = [] if "TESTS_APART" in text else sorted(folder.rglob("*_test.cc"))
        for files in (libraries, tests):
            first = {}
            for file in files:
                for name in sorted(file_local_names(file.read_text())):
                    if name in first:
                        found.append(f"{file.relative_to(root)} and {first[name].name} both define {name}")
                    first.setdefault(name, file)
    return found


class House(unittest.TestCase):
    def test_files_that_are_compiled_as_one_define_different_names(self):
        self.assertEqual(clashes(ROOT), [])

    def test_the_tree_is_as_the_table_says(self):
        self.assertEqual(breaches(ROOT, table((ROOT / "HACKING.md").read_text())), [])

    def test_who_uses_openvino_includes_it(self):
        self.assertEqual(without_include(ROOT), [])


class Check(unittest.TestCase):
    """The check finds what is wrong in a small tree."""

    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in (("core/a.h", ""), ("search/b.cc", '#include "core/a.h"\n#include "dnateq/code.h"\n'),
                           ("search/b_test.cc", '#include "graph/c.h"\n'),
                           ("graph/c.cc", '#include <openvino/openvino.hpp>\n#include "core/a.h"\nov::Model m;\n')):
            self.write(name, text)
        self.rows = {"src/core": set(), "src/search": {"core"}, "src/graph": {"core"}}

    def write(self, name, text):
        file = self.root / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def found(self):
        return "; ".join(breaches(self.root, self.rows))

    def test_a_tree_in_order(self):
        self.assertEqual(self.found(), "")
        self.assertEqual(without_include(self.root), [])

    def test_what_is_not_allowed(self):
        self.write("core/up.cc", '#include "search/b.h"\n')
        self.assertIn("src/core/up.cc includes search/, which src/core may not", self.found())
        self.rows["src/core"] = {"search"}
        self.assertIn("depends on itself", self.found())

    def test_rows_and_folders_that_miss_each_other(self):
        self.write("new/x.cc", "")
        self.rows["src/gone"] = set()
        self.rows["src/search"].add("graph")
        for sentence in ("src/new has no row", "src/gone, which is not there", "src/search includes nothing of graph/"):
            self.assertIn(sentence, self.found())

    def test_names_that_clash_where_files_are_compiled_as_one(self):
        one = "namespace {\nconstexpr int kMost = 3;\nbool is_there(const Path& path) {\n}\nint f(int a) {\n}\n}  // namespace\n"
        other = ("namespace {\nconstexpr float kMost = 3;\nbool is_there(const Path& other) {\n}\nint f(double a) {\n}\n"
                 "struct Own {};\n}  // namespace\n")
        self.write("search/x.cc", one)
        self.write("search/y.cc", other)
        self.write("search/CMakeLists.txt", "dnateq_module(search)")
        self.assertEqual(clashes(self.root), [])
        self.write("search/CMakeLists.txt", "dnateq_module(search TOGETHER)")
        self.assertEqual(clashes(self.root), ["src/search/y.cc and x.cc both define is_there(const Path&)",
                                              "src/search/y.cc and x.cc both define kMost"])
        self.write("search/x_test.cc", one)
        self.assertEqual(len(clashes(self.root)), 2)

    def test_openvino_where_it_is_not_known(self):
        self.write("search/ov.cc", '#include <openvino/openvino.hpp>\n#include "core/a.h"\n')
        self.assertIn("src/search/ov.cc includes OpenVINO", self.found())
        self.write("graph/d.cc", "ov::Model m;\n")
        self.assertEqual(without_include(self.root), ["src/graph/d.cc"])

    def test_the_table_is_read(self):
        text = "x\n| folder | what | depends on |\n|---|---|---|\n| `src/a/` | `b` | core, data (in one test) |\n| `src/core/` | c | nothing |\n\n"
        self.assertEqual(table(text), {"src/a": {"core", "data"}, "src/core": set()})


if __name__ == "__main__":
    unittest.main()
