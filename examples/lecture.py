"""A lecture: from Algorithm 2 (ASGNAS) to the exact sub-network, in a minute on a laptop.

Each `# %%` is a cell, so the file opens as a notebook in VS Code and Jupyter (jupytext). As a script it
writes its pictures into a folder:

    python examples/lecture.py pictures
"""

# %% A network, and its trace graph: one vertex per operator (Algorithm 2, line 1)
import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import nasviz
from nasviz.draw import plan_overlay, saliency_overlay, segment_view, trace_view
from nasviz.draw.report import Section, html_report

torch.manual_seed(0)
model, example_inputs = nasviz.zoo.create("demonet", width=0.1, input_shape=(1, 12, 12))
net = nasviz.trace(model, example_inputs)
print(net.trace_graph)

# %% Segments: maximal chains between joints (lines 2-10). The table says why a structure cannot be removed
space = nasviz.search_space(net)
print(space)
print(space.table().to_string())

# %% Validity: erasing all parallel branches would cut the output off, so K has a largest value
most = space.max_sparsity
assert space.is_valid([])
assert not space.is_valid([s.id for s in space.removable])
print(f"{len(space.removable)} structures are removable, at most {most} of them at once")

# %% Train with H2SPG (Algorithm 3): warm-up, then K redundant structures are projected to zero
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
images = torch.nn.functional.interpolate(images, (12, 12))
labels = torch.tensor(digits.target)
train, test = slice(0, 1500), slice(1500, None)

optimizer = nasviz.optim.create(
    "h2spg",
    net,
    space,
    lr=0.1,
    momentum=0.9,
    target_sparsity=2,
    warmup_steps=20,
    projection_steps=30,
)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
for step in range(100):
    batch = torch.randint(0, 1500, (64,))
    loss = cross_entropy(net(images[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % 25 == 24:
        print(f"step {step + 1:3}  {optimizer.phase:10}  loss {loss.item():.3f}")
print("redundant structures:", [space.segments[i].id for i in optimizer.selected])

# %% The zeros are exact, so the sub-network computes the same as the full network
sub = nasviz.construct(net, space)
print(sub)
print(sub.report.table().to_string(index=False))
net.eval(), sub.module.eval()
with torch.no_grad():
    full, small = net(images[test]), sub.module(images[test])
print(f"largest difference of the outputs: {(full - small).abs().max():.1e}")
print(f"accuracy: {(small.argmax(1) == labels[test]).float().mean():.1%}")
assert torch.allclose(full, small, atol=1e-4)

# %% The graphs as one HTML file, and as pictures. In a notebook, `nasviz.view(sub)` is interactive
if "ipykernel" not in sys.modules and len(sys.argv) > 1:  # the arguments of a kernel are its own
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    segments = segment_view(space)
    (folder / "lecture-trace.svg").write_text(trace_view(net.trace_graph).svg)
    (folder / "lecture-segments.svg").write_text(segments.svg)
    scores = {
        s.id: sum(net.get_parameter(n).norm().item() for n in s.parameter_names) for s in space.removable
    }
    report = html_report(
        "Lecture",
        [
            Section(
                "Segments",
                "Dark has small weights.",
                view=segments,
                overlay=saliency_overlay(segments, space, scores),
            ),
            Section("Removed", "Dashed.", view=segments, overlay=plan_overlay(segments, sub.plan)),
        ],
    )
    (folder / "lecture.html").write_text(report)
