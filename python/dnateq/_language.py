"""Language models: a folder and a text go in, and a folder that OpenVINO GenAI reads comes out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnateq import _core, _watch
from dnateq._checks import library_errors, patterns, real, whole
from dnateq._ignored import Ignored, ignore
from dnateq._program import program
from dnateq._quantize import _arguments, _certified, _Folders, _watched
from dnateq._result import Result

_LONGEST_WINDOW = _MOST_WINDOWS = 1 << 20


def _file(name: str, path: str | os.PathLike[str]) -> str:
    """An absolute path, since the work may outlive this working directory. Raises TypeError."""
    try:
        return os.path.abspath(os.fspath(path))
    except TypeError:
        raise TypeError(f"{name} is a {type(path).__name__}; give a path") from None


def quantize_language_model(folder: str | os.PathLike[str], text: str | os.PathLike[str], *, target_bits: float | None = None,
                            target_size: int | None = None, weight_bits: int | None = None, max_kld: float | None = None,
                            require_certificate: bool = False, context: int = 512, windows: int = 64,
                            validation: str | os.PathLike[str] | None = None, rotation: bool = True, emit: str = "auto",
                            ignored: Ignored = (), only: Sequence[str] = (), budget: float | None = None, seed: int = 0,
                            threads: int = 0, directory: str | os.PathLike[str] | None = None, resume: bool = False,
                            progress: bool | _watch.Progress = True) -> Result:
    """Quantizes the weights of a decoder-only language model to 2 to 7 bits, without training.

    At most one of `target_bits`, `target_size`, `weight_bits` and `max_kld` is given; without any, every layer has 4 bits.

    Args:
        folder: what `optimum-cli export openvino` or OpenVINO GenAI wrote: `openvino_model.xml` with its weights, and
            `openvino_tokenizer.xml`.
        text: a text file in UTF-8 to calibrate with, the more like the model's later work the better.
        target_bits: mean bits a weight, with scales and the table of embeddings.
        target_size: bytes of `openvino_model.bin`.
        weight_bits: the same width for every layer.
        max_kld: fewest bits whose mean divergence (KL) from the source is at most this, in nats a token.
        require_certificate: raises NotCertified where the text cannot show `max_kld` at 95 %.
        context: tokens that the model sees at once; the text is cut into windows of so many.
        windows: how many windows are used, evenly over the text; 0: all.
        validation: a further text to judge on (default: some windows of `text` are held back).
        rotation: turn the spaces between layers, which changes nothing of what the network computes, so that its weights can
            be quantized better.
        emit: `cpu` (default), `standard`, `exact`, or several of them, separated by commas.
        ignored: layers that stay as they are, as in `quantize`.
        only: quantize only layers whose name matches one of these regular expressions.
        budget: seconds after which no further candidate is started.
        seed: of all that is random. The same seed gives the same bytes.
        threads: 0: all.
        directory: where the result is written (default: a temporary folder, which goes with the result).
        resume: goes on with an interrupted run in `directory`.
        progress: draws bars with tqdm; or a function of (stage, done, total).

    Returns:
        The result. Its folder has all that pipelines read: `LLMPipeline(result.directory, "CPU", extensions=[dnateq.extension()])`.

    Raises:
        ValueError, TypeError: wrong folder, text or options; the sentence names what and where.
        NotCertified: under `require_certificate`; its `result` is the whole result.
        KeyboardInterrupt: within a second. What `resume` goes on from stays in the folder `unfinished` of `directory`.

    Source: ours (docs: language models).

    Examples:
        >>> result = dnateq.quantize_language_model("smollm2", "corpus.txt", target_bits=3.5)  # doctest: +SKIP
        >>> folder = result.save("smollm2-3.5b")  # doctest: +SKIP
    """
    wishes = {"target_bits": target_bits, "target_size": target_size, "weight_bits": weight_bits, "max_kld": max_kld}
    given = [name for name, value in wishes.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other; give one of them")
    if max_kld is not None and real("max_kld", max_kld) <= 0:
        raise ValueError(f"max_kld is {max_kld}; it must be above 0")
    arguments = _arguments(metric="kl", metric_range=None, max_drop=max_kld, drop_type=None, max_loss=None,
                           require_certificate=require_certificate,
                           target_bits=None if target_bits is None else real("target_bits", target_bits),
                           weight_bits=weight_bits, activation_bits=None, strategy="optimal", family="free", emit=emit,
                           expect_rows=None, batch_axis=None, weights_only=False, target_isa="any", budget=budget, seed=seed,
                           resume=resume)
    arguments.target_size = str(whole("target_size", target_size, 1, 1 << 62)) if target_size is not None else ""
    ignore(arguments, "ignored", ignored)
    arguments.only = patterns("only", only)
    arguments.model, arguments.text = _file("folder", folder), _file("text", text)
    arguments.validation = _file("validation", validation) if validation is not None else ""
    arguments.context = whole("context", context, 2, _LONGEST_WINDOW)
    arguments.windows = whole("windows", windows, 0, _MOST_WINDOWS)
    arguments.no_rotation = not rotation
    threads = whole("threads", threads, 0, 1 << 16)
    if not Path(arguments.model).is_dir():
        raise ValueError(f"there is no folder '{folder}'; give that of a language model, which `optimum-cli export openvino` wrote")
    folders = _Folders()
    target = Path(directory).absolute() if directory is not None else folders.make()
    summary = _watched(_core.quantize_text(arguments, target, threads, program()), progress, None, folders)
    return _certified(Result(target, summary, folders), require_certificate)


def evaluate_language_model(model: Any, text: str | os.PathLike[str], *, reference: str | os.PathLike[str] | None = None,
                            context: int = 512, windows: int = 64, threads: int = 0,
                            progress: bool | _watch.Progress = True) -> Any:
    """How well a language model predicts a text, and how far it is from another one.

    Args:
        model: a result of `quantize_language_model`, or the folder of any language model.
        text: a text file in UTF-8, which neither calibration nor search saw.
        reference: the source's folder, for the divergence from it.
        context: tokens of a window; each window is read from its beginning.
        windows: how many windows are judged, evenly over the text; 0: all.
        threads: 0: all.
        progress: draws bars with tqdm; or a function of (stage, done, total).

    Returns:
        The document of `dnateq eval --json`: `perplexity`, and in `reference` that of the source, `kl` (mean, in nats), its
        quantiles `kl_99` and `kl_999`, and `same_top`, the share of tokens where both find the same one likeliest. Means are
        `{"value", "interval"}` (95 %, by bootstrap over windows).

    Raises:
        ValueError, TypeError: wrong folder, text or numbers.

    Examples:
        >>> dnateq.evaluate_language_model("smollm2-3.5b", "held-out.txt", reference="smollm2")["reference"]["kl"]  # doctest: +SKIP
    """
    options = _core.EvaluateLanguageOptions()
    options.model = _file("model", getattr(model, "directory", model))
    options.reference = _file("reference", reference) if reference is not None else ""
    options.text = _file("text", text)
    options.context = whole("context", context, 2, _LONGEST_WINDOW)
    options.windows = whole("windows", windows, 0, _MOST_WINDOWS)
    options.threads = whole("threads", threads, 0, 1 << 16)
    with library_errors():
        return _watch.run(_core.evaluate_text(options), progress)
