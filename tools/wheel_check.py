"""What an installed package must do without its source tree: the first example, the program, bench and simulate."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import dnateq
import numpy as np
import openvino as ov
from openvino import opset13 as ops


def small_network(folder):
    """Two convolutions and a classifier: [N,3,8,8] -> [N,5]."""
    random = np.random.default_rng(0)

    def layer(x, *shape):
        weights = (random.laplace(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        return ops.relu(ops.convolution(x, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1]))

    x = ops.parameter(ov.PartialShape([-1, 3, 8, 8]), ov.Type.f32, "image")
    y = ops.reshape(layer(layer(x, 16, 3, 3, 3), 16, 16, 3, 3), ops.constant(np.array([0, 16 * 64])), True)
    weights = (random.laplace(size=(5, 16 * 64)) / 32).astype(np.float32)
    model = ov.Model([ops.matmul(y, ops.constant(weights), False, True)], [x], "small")
    ov.save_model(model, folder / "small.xml", compress_to_fp16=False)
    return folder / "small.xml"


def scores(model, samples):
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(sample)[0] for sample in samples])


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main():
    package = Path(dnateq.__file__).parent
    assert package.is_relative_to(sys.prefix), package
    for name in ("py.typed", "_core.pyi", "bin/dnateq", "lib/libdnateq_openvino.so"):
        assert (resources.files("dnateq") / name).is_file(), name
    version = f"dnateq {dnateq.__version__}"
    assert output_of(sys.executable, "-m", "dnateq", "--version") == version
    assert output_of(Path(sys.prefix) / "bin/dnateq", "--version") == version
    assert output_of(package / "bin/dnateq", "--version") == version  # finds OpenVINO by itself

    work = Path.cwd()
    file = small_network(work)
    random = np.random.default_rng(1)
    samples = [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(24)]
    wanted = scores(file, samples)

    def metric(model):
        return float((np.concatenate([model(s)[0] for s in samples]).argmax(1) == wanted.argmax(1)).mean())

    result = dnateq.quantize(file, samples, metric=metric, max_loss=0.2, emit="both", progress=False)
    assert result.summary["bytes"]["ram"] > 0  # the program ran on its own
    got = scores(dnateq.load(result.save(work / "kept")), samples)
    assert np.linalg.norm(got - wanted) < 0.5 * np.linalg.norm(wanted)
    print(result)
    times = dnateq.bench(file, [result], seconds=1)
    assert len(times["results"]) == 3, times
    designs = [row["design"] for row in dnateq.simulate(result)["designs"]]
    assert "int8" in designs and len(designs) > 1, designs
    help_text = output_of(sys.executable, "-m", "dnateq", "--help")
    assert "quantize" in help_text
    print(f"{version} from {package} on Python {sys.version.split()[0]}: quantize, load, program, bench and simulate work")


if __name__ == "__main__":
    main()
