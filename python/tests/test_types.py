"""The stub of the module is what its source says, and the package's types hold."""

import subprocess
import sys
from pathlib import Path

import dnateq
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_stub_is_up_to_date(tmp_path):
    pytest.importorskip("nanobind")
    stub = tmp_path / "_core.pyi"
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-m", "dnateq._core", "-o", stub], check=True, timeout=120)
    kept = ROOT / "python/dnateq/_core.pyi"
    assert stub.read_text() == kept.read_text(), "make it anew: cmake --build --preset release --target dnateq_stub"


def test_package_is_strictly_typed(tmp_path):
    pytest.importorskip("mypy")
    finished = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", tmp_path, "--config-file", "pyproject.toml"],
                              cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_a_users_program_is_strictly_typed(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text('''
import dnateq

result: dnateq.Result = dnateq.quantize("a.onnx", [{"x": 1}], metric=lambda model: 1.0, target_bits=(4, 5), threads=2)
rows: list[dict[str, object]] = result.layers
many = dnateq.quantize_many({"a": "a.onnx"}, {"a": []}, metric=lambda models: float(len(models)))
path: str = str(result.save("kept") / many["a"].directory)
again: dnateq.ManyResult = dnateq.allocate(many, target_bits=4)
smaller: dnateq.Result = dnateq.allocate(result, target_bits=4)
scope = dnateq.IgnoredScope(names=["first"], types=("MatMul",))
dnateq.quantize("a.onnx", [], ignored=scope, subset_size=300)
dnateq.quantize("a.onnx", [], ignored=["^first$"])
dnateq.quantize("a.onnx", [], ignored=3)  # type: ignore[arg-type]
dnateq.quantize("a.onnx", [], seeds=3)  # type: ignore[call-arg]
dnateq.quantize("a.onnx", [], seed="3")  # type: ignore[arg-type]
''')
    finished = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file=",
                               "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              env={"MYPYPATH": str(Path(dnateq.__file__).parents[1])})
    errors = [line for line in finished.stdout.splitlines() if line.startswith("program.py") and ": error:" in line]
    assert finished.returncode in (0, 1) and not errors, finished.stdout + finished.stderr


def test_one_version():
    (version,) = {line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")}
    assert dnateq.__version__ == version
    assert f"project(dnateq VERSION {version} " in (ROOT / "CMakeLists.txt").read_text()
