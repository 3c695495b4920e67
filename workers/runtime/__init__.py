"""The warm, trusted side: what computes losses in training. No candidate code enters its process."""
