"""One thread: several laws run at once on few cores."""

import torch

torch.set_num_threads(1)
