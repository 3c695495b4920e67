"""The library part of `discovery arena calibrate`: what tuned known losses tell of an arena, without a server."""
