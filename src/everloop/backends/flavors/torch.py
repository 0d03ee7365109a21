"""PyTorch: a TorchScript program with its weights in one file.

TorchScript is read by an interpreter of its own, which knows no Python. The newer form (`torch.export`) is not used for
models that others made: to read one evaluates expressions and looks functions up by names that stand in the file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder
from everloop.backends.flavors.python import named
from everloop.kernel.errors import Corrupted, EverloopError, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.pt"


class TorchPredictor:
    """A program that is asked by column names, without gradients.

    One whose `forward` takes one tensor, of several columns of numbers, gets them as a matrix `(n, inputs)`: float32
    unless the signature says float64 of all. Any other gets a tensor for each input, in order, of the type and shape
    that the signature says.
    """

    def __init__(self, program: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self.outputs = outputs
        self._program = program  # `Any`: programs answer anything.
        self._whole = takes_matrix(program, inputs)
        self._matrix = InputMatrix(inputs)
        self._wide = all(field.type == "float64" for field in inputs)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The first output as scores; of two columns for a single number, the second class's."""
        import numpy as np

        found = self.infer(columns)
        first = np.asarray(found[self.outputs[0].name], dtype=np.float64)
        if len(self.outputs) > 1 and all(np.ndim(found[field.name]) == 1 for field in self.outputs):
            return np.column_stack([np.asarray(found[field.name], dtype=np.float64) for field in self.outputs])
        return first

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Every output of the signature."""
        import torch

        with torch.inference_mode():
            given = self._program(*self._tensors(columns))
        parts = [part.numpy() for part in given] if isinstance(given, tuple | list) else given
        if isinstance(parts, list):
            if len(parts) != len(self.outputs):
                raise EverloopError(f"The program gave {len(parts)} outputs, the signature has {len(self.outputs)}.")
            found: Mapping[str, Any] = {field.name: part for field, part in zip(self.outputs, parts, strict=True)}
        elif isinstance(parts, dict):
            found = named(self.outputs, {name: part.numpy() for name, part in parts.items()})
        else:
            found = named(self.outputs, parts.numpy())
        return {field.name: _shaped(field, found[field.name]) for field in self.outputs}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: a network does not say what moved its scores."""
        raise Refused("A network cannot say how much each input moved a score.", hint="Use a flavor of trees for that.")

    def _tensors(self, columns: Mapping[str, np.ndarray]) -> list[Any]:
        import numpy as np
        import torch

        from everloop.registry.columns import typed

        if self._whole:
            matrix = self._matrix(columns)
            return [torch.from_numpy(np.array(matrix, np.float64 if self._wide else np.float32))]
        found = typed(self.inputs, columns)
        return [torch.from_numpy(np.array(found[field.name])) for field in self.inputs]


class TorchFlavor:
    """Models of PyTorch: a `ScriptModule`, or a `Module` that `torch.jit.script` can translate.

    One that it cannot is traced by its owner (`torch.jit.trace`), who knows which rows stand for all.
    """

    name = "torch"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the program and the fields."""
        import torch

        if not isinstance(native, torch.nn.Module):
            raise InvalidInput(f"A {type(native).__name__} is no module of PyTorch.", hint="Pass a torch.nn.Module.")
        program = _scripted(native)
        texts = [field.name for field in signature.inputs if field.type in ("string", "bytes")]
        if texts and not takes_matrix(program, signature.inputs):
            raise InvalidInput(f"PyTorch has no tensors of texts: {', '.join(texts)}.", hint="Give numbers.")
        count = len(_arguments(program))
        if not takes_matrix(program, signature.inputs) and count != len(signature.inputs):
            modelfolder.check_count(count, signature)
        _check_width(program, signature)
        kept = io.BytesIO()
        torch.jit.save(program, kept)
        (folder / MODEL).write_bytes(kept.getvalue())
        modelfolder.write_fields(folder, signature, outputs=True)

    def load(self, folder: Path) -> TorchPredictor:
        """The program of a folder: no Python of it is run."""
        import torch

        inputs = modelfolder.read_fields(folder)
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        data = modelfolder.read(folder, MODEL)
        try:
            program: Any = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]  # PyTorch does not type it.
        except (RuntimeError, ValueError, OSError) as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise Corrupted(f"{MODEL} is no TorchScript program ({first}).", hint="Register the model again.") from None
        return TorchPredictor(program.eval(), inputs, outputs)

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that does not belong: TorchScript runs nothing but PyTorch's operators."""
        return modelfolder.strangers(folder, "PyTorch", (MODEL, modelfolder.INPUTS, modelfolder.OUTPUTS))

    def requirements(self) -> list[str]:
        """PyTorch and NumPy, as installed."""
        return modelfolder.pinned(("torch", "numpy"))


def open_flavor() -> TorchFlavor:
    """The flavor.

    Raises:
        Misconfigured: PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise Misconfigured("PyTorch is not installed.", hint="pip install 'everloop[torch]'")
    return TorchFlavor()


def takes_matrix(program: Any, inputs: Sequence[Field]) -> bool:
    """Whether a program is given all columns as one matrix."""
    return len(_arguments(program)) == 1 and not any(field.shape for field in inputs) and len(inputs) > 1


def _arguments(program: Any) -> list[str]:
    return [argument.name for argument in program.forward.schema.arguments if argument.name != "self"]


def _scripted(native: Any) -> Any:
    import torch

    if isinstance(native, torch.jit.ScriptModule):
        return native.eval()
    try:
        return torch.jit.script(native.eval())
    except Exception as error:  # noqa: BLE001 - the translator raises what it likes, for the user to read
        first = (str(error).strip().splitlines() or [""])[0]
        raise InvalidInput(
            f"A {type(native).__name__} cannot be translated to TorchScript ({first}).",
            hint="Trace it with rows that stand for all: torch.jit.trace(model, example).",
        ) from None


def _check_width(program: Any, signature: Signature) -> None:
    """A first layer that takes another number of columns fails here, and not at the first request."""
    import torch

    if not takes_matrix(program, signature.inputs):
        return
    wide = all(field.type == "float64" for field in signature.inputs)
    width = len(signature.inputs)
    try:
        with torch.inference_mode():
            program(torch.zeros(2, width, dtype=torch.float64 if wide else torch.float32))
    except RuntimeError as error:
        last = (str(error).strip().splitlines() or [""])[-1]
        raise InvalidInput(
            f"The model takes no rows of {width} inputs ({last}).", hint="Give the signature that it was trained with."
        ) from None


def _shaped(field: Field, values: Any) -> np.ndarray:
    """An output as its field says: a single number for each row loses its axis, of two classes it is the second."""
    import numpy as np

    found = np.asarray(values)
    return found[:, -1] if not field.shape and found.ndim == 2 and found.shape[1] in (1, 2) else found
