"""Transformers: a folder of local weights in the safetensors form, asked by way of a pipeline for its task.

Nothing is downloaded, and no code that a folder brings is run (`trust_remote_code` is off).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.backends.flavors import modelfolder
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = "weights"
TASK = "task.json"
CLASSIFICATION = "text-classification"
_SAFE = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})


class TransformersPredictor:
    """A pipeline that is asked for a column of texts.

    A classifier's scores are the probabilities of its labels (of the second, when there are two); its outputs are
    `label` and `score`, and any other name is the scores. What another task gives is JSON, one text for each row.
    """

    def __init__(self, pipeline: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._pipeline = pipeline  # `Any`: Transformers' pipelines give anything.
        self._labels = list(pipeline.model.config.id2label.values())
        self._lock = Lock()  # A fast tokenizer keeps its settings for padding between calls.

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities, where the task is to classify."""
        scores = self._scores(columns)
        return scores[:, 1] if scores.shape[1] == 2 else scores

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Every output of the signature."""
        if self._pipeline.task != CLASSIFICATION:
            texts = self._texts(columns)
            with self._lock:
                found = self._pipeline(texts) if texts else []
            return {self.outputs[0].name: [msgspec.json.encode(it).decode() for it in found]}
        scores = self._scores(columns)
        alone = scores[:, 1] if scores.shape[1] == 2 else scores
        known: dict[str, np.ndarray | Sequence[str]] = {
            "label": [self._labels[at] for at in scores.argmax(axis=1).tolist()],
            "score": scores.max(axis=1),
        }
        return {field.name: known.get(field.name, alone) for field in self.outputs}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: there is one input."""
        raise Refused("A language model has one input, the text.", hint="Use a flavor of trees for that.")

    def _scores(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        import numpy as np

        if self._pipeline.task != CLASSIFICATION:
            raise Refused(f"The task {self._pipeline.task} gives no scores.", hint="Ask for its output by name.")
        texts = self._texts(columns)
        if not texts:
            return np.empty((0, len(self._labels)))
        with self._lock:
            # One text after another: padding to a neighbour's length would change the last digits of the scores.
            found = [self._pipeline([text], top_k=None)[0] for text in texts]
        rows = [{each["label"]: each["score"] for each in row} for row in found]
        return np.array([[row[label] for label in self._labels] for row in rows], dtype=np.float64)

    def _texts(self, columns: Mapping[str, np.ndarray]) -> list[str]:
        from everloop.registry.columns import typed

        found = typed(self.inputs, columns)[self.inputs[0].name].tolist()
        if None in found:
            raise InvalidInput(f"{self.inputs[0].name} must not be missing.", hint="Send a text for each row.")
        return [str(text) for text in found]


class TransformersFlavor:
    """Pipelines of Transformers over PyTorch, with one column of texts as their input."""

    name = "transformers"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write weights, tokenizer and configuration as Transformers does, and the fields."""
        pipeline: Any = native
        if not all(hasattr(native, part) for part in ("model", "tokenizer", "task")):
            raise InvalidInput(f"A {type(native).__name__} is no pipeline.", hint="Pass transformers.pipeline(…).")
        if len(signature.inputs) != 1 or signature.inputs[0].type != "string":
            modelfolder.check_count(1, signature)
            raise InvalidInput(f"{signature.inputs[0].name} is no text.", hint="Describe it as a string.")
        pipeline.model.save_pretrained(folder / WEIGHTS, safe_serialization=True)
        pipeline.tokenizer.save_pretrained(folder / WEIGHTS)
        (folder / TASK).write_bytes(msgspec.json.encode(pipeline.task))
        plain = Signature((Field(signature.inputs[0].name, "string"),), signature.outputs)
        modelfolder.write_fields(folder, plain, outputs=True)

    def load(self, folder: Path) -> TransformersPredictor:
        """The pipeline of a folder, from its own files alone."""
        inputs = modelfolder.read_fields(folder)
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        unsafe = self.scan(folder)
        if unsafe:
            raise Refused(f"{unsafe[0].path}: {unsafe[0].problem}", hint="Keep safetensors and the tokenizer alone.")
        try:
            task = msgspec.json.decode(modelfolder.read(folder, TASK), type=str)
            return TransformersPredictor(_pipeline(task, str(folder / WEIGHTS)), inputs, outputs)
        except (OSError, ValueError, KeyError, RuntimeError, msgspec.MsgspecError) as error:
            raise Corrupted(f"{WEIGHTS} holds no model ({error}).", hint="Register the model again.") from None

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that is neither safetensors nor text, and configurations that name code."""
        found = []
        for name in modelfolder.files_of(folder):
            path = folder / name
            if path.suffix not in _SAFE or (not name.startswith(f"{WEIGHTS}/") and path.suffix != ".json"):
                found.append(Finding(name, "A model of Transformers has no such file."))
            elif path.suffix == ".json" and b'"auto_map"' in path.read_bytes():
                found.append(Finding(name, "It names code to load with."))
        return found

    def requirements(self) -> list[str]:
        """Transformers, PyTorch and what reads tokens and weights, as installed."""
        return modelfolder.pinned(("transformers", "torch", "tokenizers", "safetensors", "numpy"))


def open_flavor() -> TransformersFlavor:
    """The flavor.

    Raises:
        Misconfigured: Transformers or PyTorch is not installed.
    """
    if find_spec("transformers") is None or find_spec("torch") is None:
        raise Misconfigured("Transformers or PyTorch is not installed.", hint="pip install 'everloop[transformers]'")
    return TransformersFlavor()


def _pipeline(task: str, weights: str) -> Any:
    import transformers

    made: Any = transformers.pipeline
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights, local_files_only=True, trust_remote_code=False)
    local = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    options: Any = {"model_kwargs": local} if task != CLASSIFICATION else {}
    if task == CLASSIFICATION:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(weights, **local)
    else:
        model = weights
    return made(task, model=model, tokenizer=tokenizer, device="cpu", **options)
