"""Channel groups: channels that can only be cut together, across all layers."""
