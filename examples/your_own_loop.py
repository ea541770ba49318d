"""Your own loop: fine-tune a ResNet on a folder of images, watch it, cut half of its MACs, export it.

    python your_own_loop.py IMAGES    # a folder with train/CLASS/*.png and val/CLASS/*.png
    nasviz app --runs runs            # meanwhile: the page Runs shows the loop live

Needs `pip install 'nasviz[app]'`.
"""

import sys

import onnxruntime
import torch
import torchvision
from torchvision.transforms import v2

import nasviz

images = sys.argv[1]
prepare = v2.Compose([v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
train, val = (torchvision.datasets.ImageFolder(f"{images}/{part}", prepare) for part in ("train", "val"))
batches = torch.utils.data.DataLoader(train, batch_size=32, shuffle=True, drop_last=True)
checks = torch.utils.data.DataLoader(val, batch_size=100)
model = torchvision.models.resnet18(num_classes=len(train.classes))  # or yours, with its weights

net = nasviz.trace(model, next(iter(checks))[0])  # shares the model's modules and weights
space = nasviz.search_space(net)
fit = nasviz.fit_budget(space, space.trace.macs / 2, "macs", certain=True)
steps = 3 * len(batches)  # a third of them to score, a third to project to zero, a third to recover
phases = {"warmup_steps": steps // 3, "projection_steps": steps // 3}
base = torch.optim.AdamW(model.parameters(), lr=1e-3)
optimizer = nasviz.optim.create("h2spg", net, space, base=base, target_sparsity=fit.k, **phases)

with nasviz.watch(net, space, optimizer, name="my loop", total_steps=steps) as rec:
    for _ in range(3):
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model.train()(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.log(loss=loss)
            if rec.wants_stop:  # Pause and Cancel in the app
                break
        if rec.is_stopped:
            break
        print(f"{rec.evaluate(checks).accuracy:.1%} of val are right, {optimizer.phase}")
    sub = rec.finish()  # an ordinary module; None after Cancel

if sub is not None:
    print(f"{sub.report.macs_after / sub.report.macs_before:.0%} of the MACs are left")
    nasviz.save(sub, "smaller")  # weights.safetensors, and a model.py that runs without nasviz
    nasviz.export_onnx(sub, "smaller.onnx")
    (scores,) = onnxruntime.InferenceSession("smaller.onnx").run(None, {"input": x.numpy()})
    with torch.no_grad():
        print(f"onnxruntime differs by {abs(scores - sub.module.eval()(x).numpy()).max():.1e}")
