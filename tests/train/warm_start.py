"""Imported once by the server that child processes are forked from: they need not load torch again."""

import os

import torch

from nasviz.train import open_session
from tests.train.conftest import short_settings

torch.set_num_threads(1)
# The pool of threads does not survive a fork and is made again on first use. A thread of autograd that asks
# for it at the same moment as the main thread would find none and abort: make it before there are threads.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
open_session(short_settings())
