"""The files and names that the code blocks of docs/ speak of, small enough to be quantized in a second.

    model.onnx      [N,3,8,8] -> [N,5], in truth an OpenVINO file (check.py writes .xml for .onnx), with calibration.npz,
                    validation.npz, labels.npy and images/
    resnet20.onnx   such a network with the names of README: its input, and the files beside it (make_readme)
    encoder.onnx    input_ids, attention_mask [N,length] -> embedding [N,16], with sentences/, `sentences` and `tokenizer`
    smollm2/        a language model's folder, whose tokens are bytes, with corpus.txt and held-out.txt (make_language)
"""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

WORDS = 50
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/integration"))  # language_networks


class Tokenizer:
    def encode(self, sentence):
        return [1, *(2 + zlib.crc32(word.encode()) % (WORDS - 2) for word in sentence.split())]


SENTENCES = [" ".join(["the", "cat", "sat", "on", "a", "mat", "and", "slept"][: 3 + i % 6]) for i in range(32)]


def save(model, path):
    # save_model compresses to FP16 unless told otherwise
    ov.save_model(model, path, compress_to_fp16=False)


def parameter(name, shape, kind):
    node = ops.parameter(ov.PartialShape(shape), kind, name)
    node.output(0).set_names({name})
    return node


def classifier(random, name="image"):
    def weights(*shape):
        return ops.constant((random.laplace(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    x = parameter(name, [-1, 3, 8, 8], ov.Type.f32)
    y = x
    for name, channels in (("first", (16, 3)), ("second", (16, 16))):
        y = ops.convolution(y, weights(*channels, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
        y.set_friendly_name(name)
        y = ops.relu(y)
    y = ops.reshape(y, ops.constant(np.array([0, 16 * 64])), True)
    y = ops.matmul(y, weights(5, 16 * 64), False, True)
    y.set_friendly_name("classifier")
    y.output(0).set_names({"scores"})
    return ov.Model([ops.result(y)], [x], "classifier")


def encoder(random):
    ids = parameter("input_ids", [-1, -1], ov.Type.i64)
    mask = parameter("attention_mask", [-1, -1], ov.Type.i64)
    table = ops.constant(random.standard_normal((WORDS, 32)).astype(np.float32))
    y = ops.gather(table, ids, ops.constant(np.int64(0)))
    for outputs in (64, 16):
        inputs = int(y.get_output_partial_shape(0)[2].get_length())
        y = ops.matmul(ops.relu(y), ops.constant((random.laplace(size=(inputs, outputs)) / 8).astype(np.float32)), False, False)
    weight = ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.int64(2)))
    y = ops.reduce_mean(ops.multiply(y, weight), ops.constant(np.int64(1)))
    y.output(0).set_names({"embedding"})
    return ov.Model([ops.result(y)], [ids, mask], "encoder")


def png(path, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def images():
    return list(np.random.default_rng(1).standard_normal((32, 1, 3, 8, 8)).astype(np.float32))


def make_readme(folder: Path):
    """The files that README's blocks read."""
    random = np.random.default_rng(0)
    model = classifier(random, "input")
    save(model, folder / "resnet20.xml")
    image = random.standard_normal((256, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "calibration.npz", input=image[:128])
    np.savez(folder / "test.npz", input=image[128:])
    np.save(folder / "test_labels.npy", ov.compile_model(model, "CPU")(image[128:])[0].argmax(1))
    return {}


def make_language(folder: Path):
    """The files of the page on language models."""
    from language_networks import save_folder
    save_folder(folder / "smollm2", half=True)
    random = np.random.default_rng(3)
    words = sorted({word for sentence in SENTENCES for word in sentence.split()})
    for name in ("corpus.txt", "held-out.txt"):
        (folder / name).write_text(" ".join(random.choice(words, 3000)))
    return {}


def make(folder: Path):
    """Writes the files, and returns the names that Python blocks may use."""
    random = np.random.default_rng(0)
    model = classifier(random)
    save(model, folder / "model.xml")
    image = random.standard_normal((128, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "calibration.npz", image=image[:64])
    np.savez(folder / "validation.npz", image=image[64:])
    np.save(folder / "labels.npy", ov.compile_model(model, "CPU")(image[64:])[0].argmax(1))
    (folder / "images").mkdir()
    for i in range(24):
        png(folder / "images" / f"{i:03}.png", random.integers(0, 256, (8, 8, 3), np.uint8))
    save(encoder(random), folder / "encoder.xml")
    (folder / "sentences").mkdir()
    for i, sentence in enumerate(SENTENCES[:6]):
        ids = np.tile(np.array([Tokenizer().encode(sentence)], np.int64), (4, 1)) + np.arange(4)[:, None] % 3
        np.savez(folder / "sentences" / f"{i}.npz", input_ids=ids, attention_mask=np.ones_like(ids))
    return {"sentences": SENTENCES, "tokenizer": Tokenizer()}
