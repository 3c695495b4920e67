"""The paper of CPO and DR-CPO: policies from recorded outcomes, and what confounding does to them."""
