"""One thread: the networks here are so small that threads would only wait for one another."""

import torch

torch.set_num_threads(1)
