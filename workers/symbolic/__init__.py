"""The symbolic proposer: losses made by changing and joining the expressions of others, without model or network."""
