"""Architecture search by relaxation: architecture parameters train beside the weights, on other examples.

A room of its own beside `nasviz.optim`: the optimizers there know groups of tensors and one gradient a
step, while these methods take several gradients a step, at several points and on two batches, and so have to
evaluate a network at weights that are not its own.
"""
