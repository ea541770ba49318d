"""Imported once by the server that child processes are forked from: they need not load torch again."""

import torch

from nasviz.train import open_session
from tests.train.conftest import short_settings

torch.set_num_threads(1)
open_session(short_settings())
