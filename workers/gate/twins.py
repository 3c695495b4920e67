"""Which known losses a loss is the same as, or near to, when each may choose its own beta. Without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discovery_service.losses.fingerprints import BETAS, MAGNITUDES, MAX_SHIFT, NEAR_COSINE, TWIN_COSINE, WINDOW

Floats = NDArray[np.float32]

# By size, so that of equal cosines the smallest shift is named.
_SHIFTS = sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs)
_CENTRE = slice(MAX_SHIFT, MAX_SHIFT + WINDOW)
_BLOCKS = len(BETAS) * len(MAGNITUDES)
_ROUNDING = 0.01
"""Above what float16 costs of a block's length, 5e-4."""


@dataclass(frozen=True)
class Neighbour:
    name: str
    cosine: float
    """The lowest of all magnitudes, at the shift where that is highest."""
    beta_shift: float
    """The loss at its beta times this is like the neighbour at its beta."""
    is_twin: bool

    @property
    def is_near(self) -> bool:
        return not self.is_twin and self.cosine >= NEAR_COSINE

    def document(self) -> dict[str, Any]:
        return {**vars(self), "is_near": self.is_near}


class Archive:
    """Fingerprints of losses of one family, to be compared with again and again.

    One float32 matrix: products of float16 are 32 times slower.
    """

    def __init__(self, fingerprints: Iterable[tuple[str, bytes]]) -> None:
        entries = tuple(fingerprints)
        self.names: Sequence[str] = tuple(name for name, _ in entries)
        self.fingerprints: Sequence[bytes] = tuple(raw for _, raw in entries)
        centres = [read_fingerprint(raw)[_CENTRE] for _, raw in entries]
        if len({each.shape for each in centres}) > 1:
            raise ValueError("An archive holds fingerprints of one family and one version; here are several.")
        # One contiguous matrix a block: (WINDOW * MAGNITUDES, losses, entries).
        self.blocks: Floats = (
            np.stack(centres, axis=2).reshape(-1, len(centres), centres[0].shape[-1]) if centres else _NONE
        )


_NONE = np.zeros((WINDOW * len(MAGNITUDES), 0, 0), dtype=np.float32)


def read_fingerprint(raw: bytes) -> Floats:
    """(betas, magnitudes, entries), each block at unit length. Raises ValueError for bytes that are none."""
    if not raw or len(raw) % (2 * _BLOCKS):
        raise ValueError(f"A fingerprint holds {_BLOCKS} blocks of float16; these {len(raw)} bytes do not.")
    blocks = np.frombuffer(raw, dtype="<f2").astype(np.float32).reshape(len(BETAS), len(MAGNITUDES), -1)
    lengths = np.linalg.norm(blocks, axis=-1, keepdims=True)
    if not (np.abs(lengths - 1) < _ROUNDING).all():
        raise ValueError("Every block of a fingerprint has unit length; in these bytes one has not.")
    return blocks / lengths


def measure_cosines(fingerprint: bytes, archive: Archive) -> Floats:
    """(losses, shifts, betas of the window, magnitudes); shifts in the order in which they are tried."""
    own = read_fingerprint(fingerprint)
    shifted = np.stack([own[_CENTRE.start + shift : _CENTRE.stop + shift] for shift in _SHIFTS], axis=2)
    shifted = shifted.reshape(-1, len(_SHIFTS), own.shape[-1])
    products = np.matmul(archive.blocks, shifted.transpose(0, 2, 1))
    return np.moveaxis(products, 0, -1).reshape(len(archive.names), len(_SHIFTS), WINDOW, len(MAGNITUDES))


def find_twins(fingerprint: bytes, archive: Archive, *, limit: int = 5) -> list[Neighbour]:
    """The nearest losses, twins first; at most `limit`."""
    if not archive.names:
        return []
    lowest = measure_cosines(fingerprint, archive).min(axis=(2, 3))
    # Rounded, so that float noise does not prefer a shift of many octaves.
    best = lowest.round(4).argmax(axis=1)
    nearest = np.argsort(-lowest[np.arange(len(best)), best], kind="stable")[:limit]
    found = [_neighbour(fingerprint, archive, index, _SHIFTS[best[index]]) for index in nearest.tolist()]
    return sorted(found, key=lambda each: -each.cosine)


def _neighbour(fingerprint: bytes, archive: Archive, index: int, shift: int) -> Neighbour:
    """Seen from both sides: whose betas stand still and whose are shifted must not matter."""
    name, other = archive.names[index], archive.fingerprints[index]
    there = measure_cosines(fingerprint, Archive([(name, other)]))[0, _SHIFTS.index(shift)]
    back = measure_cosines(other, Archive([(name, fingerprint)]))[0, _SHIFTS.index(-shift)]
    cosine = float(min(there.min(), back.min()))
    return Neighbour(name, cosine, beta_shift=2 ** (shift / 2), is_twin=cosine > TWIN_COSINE)
