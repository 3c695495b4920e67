"""The paper of UPO: preferences and a score of the designer's own, where they agree and where they do not."""
