"""Your own loop: fine-tune a trained network, watch it, and cut it at half of its MACs.

    python examples/your_own_loop.py runs
    nasviz app --runs runs

Open the app while the script is running: the page Runs lists the loop, live.
"""

# %% A trained network and data; yours come from your training script
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nasviz
from nasviz.graph.budget import fit_budget

has_arguments = "ipykernel" not in sys.modules and len(sys.argv) > 1  # those of a kernel are its own
runs = sys.argv[1] if has_arguments else "runs"
torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
x = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
data = TensorDataset(x, torch.tensor(labels))
train = DataLoader(data, batch_size=64, sampler=range(1500))
test = DataLoader(data, batch_size=64, sampler=range(1500, 1797))
model, _ = nasviz.zoo.create("demonet", input_shape=(1, 8, 8), width=0.25)
adam = torch.optim.AdamW(model.parameters(), lr=2e-3)
for _ in range(2):
    for x, y in train:
        adam.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        adam.step()

# %% What is to go: as many structures as leave half of the MACs
net = nasviz.trace(model, x[:2])
space = nasviz.search_space(net)
fit = fit_budget(space, space.trace.macs / 2, "macs")
print(f"K = {fit.k} of at most {space.max_sparsity}")

# %% Your loop, with three more lines: the optimizer around yours, the recorder, and its log
epochs = 4
steps = epochs * len(train)
optimizer = nasviz.optim.create(
    "h2spg",
    net,
    space,
    base=torch.optim.AdamW(model.parameters(), lr=1e-3),
    target_sparsity=fit.k,
    warmup_steps=steps // 4,
    projection_steps=steps // 3,
)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
with nasviz.watch(net, space, optimizer, runs=runs, name="My loop", total_steps=steps) as rec:
    for epoch in range(epochs):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            scores = model(x)
            loss = nn.functional.cross_entropy(scores, y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            accuracy = (scores.argmax(1) == y).float().mean()
            rec.log(loss=loss, accuracy=accuracy, epoch=epoch, examples=len(y))
            if rec.wants_stop:  # Pause and Cancel in the app
                break
        if rec.is_stopped:
            break
        print(f"epoch {epoch}: {rec.evaluate(test).accuracy:.1%}, {optimizer.phase}")
    sub = rec.finish()  # None after Cancel

# %% The sub-network: an ordinary module, saved in the folder of the run
print(f"run {rec.run.id} {rec.run.state}")
if sub is not None:
    print(f"{sub.report.macs_after / sub.report.macs_before:.0%} of the MACs")
    nasviz.save(sub, f"{runs}/smaller")
