"""Rules of operators: where zero channels and channel labels go when an operator is applied."""
