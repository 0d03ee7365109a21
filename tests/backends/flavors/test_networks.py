"""PyTorch, Keras and Transformers: tiny networks made here, nothing downloaded."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from everloop.app import backends
from everloop.kernel.errors import Corrupted, InvalidInput, Refused
from everloop.registry.columns import signature_of
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import outputs_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed.")]
DATA = {"a": np.linspace(-1, 1, 12), "b": np.arange(12.0)}
TEXT = Signature((Field("text", "string"),), (Field("label", "string"), Field("score", "float64")))


def flavor(name: str) -> Any:
    return backends.load("flavors", name)()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestTorch:
    """What is PyTorch's alone."""

    def test_tensors_of_any_shape_and_type_go_in_and_out_by_name(self, tmp_path: Path) -> None:
        from tests.backends.flavors.torchmodels import Two

        image, scale = np.random.default_rng(1).normal(size=(4, 2, 3)).astype(np.float32), np.arange(4, dtype=np.int8)
        outputs = {"total": image.sum(axis=(1, 2)), "twice": image}
        signature = signature_of({"image": image, "scale": scale}, outputs, narrow=True)
        assert [(it.type, it.shape) for it in signature.inputs] == [("float32", (2, 3)), ("int8", ())]
        flavor("torch").save(Two(), tmp_path, signature)
        found = outputs_of(flavor("torch").load(tmp_path), signature.outputs, {"image": image, "scale": scale})
        assert np.array_equal(found["twice"], image * 2)
        assert np.allclose(found["total"], image.sum(axis=(1, 2)) * scale)

    def test_a_number_that_its_type_cannot_hold_is_refused(self, tmp_path: Path) -> None:
        from tests.backends.flavors.torchmodels import Two

        signature = Signature(
            (Field("image", "float32", shape=(2, 3)), Field("scale", "int8")),
            (Field("a", "float32"), Field("b", "float32")),
        )
        flavor("torch").save(Two(), tmp_path, signature)
        with pytest.raises(InvalidInput, match=r"scale must be int8 .-128 to 127., not 300"):
            flavor("torch").load(tmp_path).predict({"image": np.zeros((1, 2, 3)), "scale": np.array([300])})

    def test_what_torchscript_cannot_say_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        import torch

        class Odd(torch.nn.Module):
            def forward(self, rows):  # type: ignore[no-untyped-def]
                return rows * len(open("/etc/hostname").read())  # noqa: PTH123 - what no program may hold

        with pytest.raises(InvalidInput, match="TorchScript") as caught:
            flavor("torch").save(Odd(), tmp_path, signature_of(DATA))
        assert "torch.jit.trace" in caught.value.hint


class TestKeras:
    """What is Keras's alone."""

    def model(self, classes: int = 2) -> Any:
        flavor("keras").requirements()
        from everloop.backends.flavors.keras import _keras

        keras = _keras()
        keras.utils.set_random_seed(3)
        inputs = keras.Input((2,), name="rows")
        hidden = keras.layers.Dense(4, activation="relu")(inputs)
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(hidden))

    def test_a_loaded_model_predicts_exactly_what_the_saved_one_did(self, tmp_path: Path) -> None:
        native = self.model(3)
        flavor("keras").save(native, tmp_path, signature_of(DATA))
        rows = np.column_stack(list(DATA.values())).astype(np.float32)
        expected = np.asarray(native.predict(rows, verbose=0), dtype=np.float64)
        assert np.array_equal(flavor("keras").load(tmp_path).predict(DATA), expected)

    def test_two_classes_give_the_probability_of_the_second(self, tmp_path: Path) -> None:
        flavor("keras").save(self.model(), tmp_path, signature_of(DATA))
        assert flavor("keras").load(tmp_path).predict(DATA).shape == (12,)

    def test_saving_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        native = self.model()
        for copy in ("a", "b"):
            (tmp_path / copy).mkdir()
            flavor("keras").save(native, tmp_path / copy, signature_of(DATA))
        assert files(tmp_path / "a") == files(tmp_path / "b")
        assert flavor("keras").scan(tmp_path / "a") == []

    def test_a_signature_of_other_width_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="2 inputs"):
            flavor("keras").save(self.model(), tmp_path, signature_of({"a": DATA["a"]}))

    @pytest.mark.parametrize(
        ("module", "kind"), [("os", "system"), ("keras.layers", "Lambda"), ("builtins", "eval"), ("mine", "Layer")]
    )
    def test_a_file_that_names_code_is_refused_before_it_is_made(self, tmp_path: Path, module: str, kind: str) -> None:
        flavor("keras").save(self.model(), tmp_path, signature_of(DATA))
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        config = msgspec.json.decode(content["config.json"])
        config["config"]["layers"][1] |= {"module": module, "class_name": kind}
        content["config.json"] = msgspec.json.encode(config)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        with pytest.raises(Refused, match=kind):
            flavor("keras").load(tmp_path)

    def test_a_file_that_was_cut_off_is_corrupted(self, tmp_path: Path) -> None:
        flavor("keras").save(self.model(), tmp_path, signature_of(DATA))
        path = tmp_path / "model.keras"
        path.write_bytes(path.read_bytes()[:-50])
        with pytest.raises(Corrupted, match=r"model\.keras"):
            flavor("keras").load(tmp_path)


class TestTransformers:
    """What is Transformers' alone."""

    def pipeline(self, folder: Path) -> Any:
        transformers = pytest.importorskip("transformers")
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "late", "in", "time"])}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
        transformers.set_seed(3)
        small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        config = transformers.BertConfig(vocab_size=7, num_labels=3, max_position_embeddings=16, **small)
        model = transformers.BertForSequenceClassification(config).eval()
        return transformers.pipeline("text-classification", model=model, tokenizer=fast, device="cpu")

    def texts(self) -> dict[str, np.ndarray]:
        return {"text": np.array(["late", "in time", "late in time late"], dtype=object)}

    def test_a_loaded_classifier_says_exactly_what_the_saved_one_did(self, tmp_path: Path) -> None:
        native = self.pipeline(tmp_path)
        flavor("transformers").save(native, tmp_path, TEXT)
        predictor = flavor("transformers").load(tmp_path)
        found = outputs_of(predictor, TEXT.outputs, self.texts())
        expected = [native([text])[0] for text in self.texts()["text"]]
        assert list(found["label"]) == [it["label"] for it in expected]
        assert np.asarray(found["score"]).tolist() == [it["score"] for it in expected]
        assert predictor.predict(self.texts()).shape == (3, 3)

    def test_its_files_are_safetensors_and_text(self, tmp_path: Path) -> None:
        native = self.pipeline(tmp_path)
        for copy in ("a", "b"):
            (tmp_path / copy).mkdir()
            flavor("transformers").save(native, tmp_path / copy, TEXT)
        assert files(tmp_path / "a") == files(tmp_path / "b")
        assert "weights/model.safetensors" in files(tmp_path / "a")
        assert flavor("transformers").scan(tmp_path / "a") == []

    def test_code_in_its_folder_is_refused(self, tmp_path: Path) -> None:
        flavor("transformers").save(self.pipeline(tmp_path), tmp_path, TEXT)
        (tmp_path / "weights/modeling.py").write_text("raise SystemExit")
        with pytest.raises(Refused, match=r"modeling\.py"):
            flavor("transformers").load(tmp_path)

    def test_a_missing_text_is_named(self, tmp_path: Path) -> None:
        flavor("transformers").save(self.pipeline(tmp_path), tmp_path, TEXT)
        predictor = flavor("transformers").load(tmp_path)
        with pytest.raises(InvalidInput, match="text must not be missing"):
            predictor.predict({"text": np.array([None], dtype=object)})
        with pytest.raises(InvalidInput, match="needs text"):
            predictor.predict({})
