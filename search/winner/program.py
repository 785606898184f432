"""The champion as MLflow serves it."""

from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema, TensorSpec

from search.winner.models import load_saved
from trainables.folder import LocalFolder
from trainables.tracing import known_shapes


class ProcessorProgram:
    """MLflow's flavor for PyTorch, but that a model answers on the processor wherever it is loaded.

    MLflow would load it on a GPU where there is one, and refuse it there: a program of
    `torch.export` stays on the device that it was exported on.
    """

    @staticmethod
    def save_model(pytorch_model: Any, path: str, mlflow_model: Model, **given: Any) -> None:
        """Save as `mlflow.pytorch.save_model` does, which traces the model once more."""
        with known_shapes():
            mlflow.pytorch.save_model(pytorch_model, path, mlflow_model=mlflow_model, **given)
        mlflow_model.flavors["python_function"]["config"]["device"] = "cpu"
        mlflow_model.save(str(Path(path, MLMODEL_FILE_NAME)))


def log_program(folder: str) -> Any:
    """Log the model as MLflow serves it: as torch's program, or in ONNX.

    In ONNX where lengths vary, or where torch's program is not offered.
    """
    saved = load_saved(LocalFolder(Path(folder)))
    model, example = saved.model, saved.example()
    outputs = model(*example).detach().numpy()
    out = Schema([TensorSpec(outputs.dtype, (-1, *outputs.shape[1:]))])
    # Requirements are found by inference otherwise, in a process that imports this project.
    needs = [f"mlflow=={mlflow.__version__}", "numpy"]
    targets = {} if saved.targets is None else asdict(saved.targets)
    told = (
        {"classes": list(saved.classes)}
        if saved.classes
        else {"targets": {key: list(values) for key, values in targets.items()}}
    )
    x, *lengths = (one.numpy() for one in example)
    if not lengths and Path(folder, "model.pt2").exists():
        return Model.log(
            artifact_path=None,
            flavor=ProcessorProgram,
            flavor_name="mlflow.pytorch",
            name="model",
            pytorch_model=model,
            signature=ModelSignature(Schema([TensorSpec(x.dtype, (-1, *x.shape[1:]))]), out),
            input_example=x,
            serialization_format="pt2",
            metadata=told,
            pip_requirements=[f"torch=={released('torch')}", *needs],
        )
    import onnx

    given = {"x": x} | ({"lengths": lengths[0]} if lengths else {})
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(
            one.dtype, (-1, *(-1 if lengths else n for n in one.shape[1:2]), *one.shape[2:]), name
        )
        for name, one in given.items()
    ]
    return mlflow.onnx.log_model(
        onnx.load(f"{folder}/model.onnx"),
        name="model",
        signature=ModelSignature(Schema(inputs), out),
        input_example=given,
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata=told,
        pip_requirements=[f"{name}=={released(name)}" for name in ("onnx", "onnxruntime")] + needs,
    )


def released(name: str) -> str:
    """Return a package's version without the local part that says how it was built."""
    return metadata.version(name).split("+")[0]
