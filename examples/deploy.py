"""Deploy a sub-network: ONNX, int8 and OpenVINO, torch.export, and a folder for Hugging Face.

    python examples/deploy.py deployed

Each result is read back and compared with the sub-network. This needs `pip install 'nasviz[onnx]'`; OpenVINO
is skipped where it is not installed, with the command that installs it.
"""

# %% A sub-network; yours comes from `nasviz.construct` after training, or from `nasviz.load(folder)`
import json
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

import nasviz

torch.manual_seed(0)
has_arguments = "ipykernel" not in sys.modules and len(sys.argv) > 1  # those of a kernel are its own
folder = Path(sys.argv[1] if has_arguments else "deployed")
folder.mkdir(exist_ok=True)
model, example_inputs = nasviz.zoo.create("demonet", width=0.25)
net = nasviz.trace(model, example_inputs)
space = nasviz.search_space(net)
sub = nasviz.construct(net, space, [space.removable[0].id])
images = torch.randn(64, 1, 28, 28)
sub.module.eval()
with torch.no_grad():
    wanted = sub.module(images).numpy()
print(sub)


def check(name: str, got: np.ndarray, tolerance: float) -> None:
    """Print the largest difference from the sub-network, relative to its largest output."""
    error = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    print(f"{name:28} relative error {error:.1e}")
    assert error < tolerance, name


# %% ONNX: exported, optimized, and run in ONNX Runtime; the batch axis is dynamic
path = folder / "small.onnx"
nasviz.export_onnx(sub, path)
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
check("ONNX Runtime", session.run(None, {name: images.numpy()})[0], 1e-4)

# %% int8: weights and activations, with ranges from some images (use images of your training data)


class Images(CalibrationDataReader):
    """Batches from which the ranges of the activations are measured."""

    def __init__(self) -> None:
        self.batches = iter([{name: batch.numpy()} for batch in images.split(16)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, or None after the last."""
        return next(self.batches, None)


small = folder / "small-int8.onnx"
quantize_static(path, small, Images(), weight_type=QuantType.QInt8, per_channel=True)
session = onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"])
check("ONNX Runtime, int8", session.run(None, {name: images.numpy()})[0], 0.2)
print(f"{path.stat().st_size:,} bytes as float32, {small.stat().st_size:,} as int8")

# %% OpenVINO reads the ONNX file
if find_spec("openvino"):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}  # its default on recent processors is bf16
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    check("OpenVINO", compiled(images.numpy())[0], 1e-4)
    openvino.save_model(core.read_model(path), folder / "small.xml")
else:
    print("OpenVINO is skipped: pip install openvino")

# %% torch.export: for AOTInductor, ExecuTorch and TensorRT
nasviz.export_pt2(sub, folder / "small.pt2")
program = torch.export.load(folder / "small.pt2").module()
with torch.no_grad():
    check("torch.export", program(images).numpy(), 1e-4)

# %% A folder for Hugging Face: weights, a model.py that needs torch alone, and a card. Publish it with
#    hf upload ORG/NAME deployed/hub
hub = nasviz.save(sub, folder / "hub")
report = sub.report
(hub / "config.json").write_text(
    json.dumps({"library": "nasviz", "parameters": report.params_after}, indent=2)
)
(hub / "README.md").write_text(
    f"""---
library_name: pytorch
tags: [nasviz, pruning]
---
A sub-network of {net.trace_graph.name}: {report.params_after:,} of {report.params_before:,} parameters,
{report.macs_after:,} of {report.macs_before:,} MACs. `from model import load; net = load()` builds it with
its weights; `nasviz.load(folder)` reads it as data.
"""
)
spec = spec_from_file_location("deployed_model", hub / "model.py")
module = module_from_spec(spec)
spec.loader.exec_module(module)
with torch.no_grad():
    check("model.py of the folder", module.load().eval()(images).numpy(), 1e-4)
    check("nasviz.load", nasviz.load(hub).eval()(images).numpy(), 1e-4)
