"""Which known losses a loss is the same as, or near to, when each may choose its own beta. Without torch.

A loss that has no beta, as one with a number in its place, is compared with the others at each single beta of theirs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from discovery_service.domain.families import Family
from discovery_service.losses.fingerprints import (
    BETAS,
    ENTRIES,
    MAGNITUDES,
    MAX_SHIFT,
    NEAR_COSINE,
    REFERENCE_BETA,
    TWIN_COSINE,
    WIDEST,
    WINDOW,
)

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

# By size, so that of equal cosines the smallest shift is named.
_SHIFTS = sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs)
_BLOCKS = len(BETAS) * len(MAGNITUDES)
_ROUNDING = 0.01
"""Above what float16 costs of a block's length, 5e-4."""


_IS_WIDE = np.outer(BETAS, MAGNITUDES) / REFERENCE_BETA > WIDEST


@dataclass(frozen=True)
class _Compared:
    """Which blocks are compared at one shift of beta; one entry a pair of them."""

    betas_of_theirs: NDArray[np.intp]
    magnitudes: NDArray[np.intp]
    betas_of_ours: NDArray[np.intp]


def _list_compared(shift: int) -> _Compared:
    """From the middle of the grid as the one has it to the middle as the other has it, so that nearness is mutual.

    Less would not do: at the 5 lowest betas alone a 16th of cDPO is a 16th of DPO. And wherever the margins of both lie
    in the range in which a loss has to work, for what is done at weak or strong betas only.
    """
    first = MAX_SHIFT - max(shift, 0)
    middle = range(first, first + WINDOW + abs(shift))
    compared = [
        (theirs, magnitude, theirs + shift)
        for theirs in range(max(0, -shift), len(BETAS) - max(0, shift))
        for magnitude in range(len(MAGNITUDES))
        if theirs in middle or not (_IS_WIDE[theirs, magnitude] or _IS_WIDE[theirs + shift, magnitude])
    ]
    return _Compared(*np.array(compared).T)


_COMPARED = {shift: _list_compared(shift) for shift in _SHIFTS}
_SINGLE = [
    place for place, beta in enumerate(BETAS) if beta >= REFERENCE_BETA / 4 and (~_IS_WIDE[place]).mean() >= 0.75
]
"""Betas at which one block of magnitudes tells a loss from others: at weaker ones all losses are straight lines, and at
stronger ones most margins are wider than a loss has to bear."""
_CONSTANT = 0.9999
"""Cosine of two blocks that differ by what float16 costs."""


@dataclass(frozen=True)
class Neighbour:
    name: str
    cosine: float
    """The lowest of all magnitudes, at the shift where that is highest."""
    beta_shift: float
    """The loss at its beta times this is like the neighbour at its beta."""
    is_twin: bool
    beta: float | None = None
    """Of the neighbour, where a loss without one of its own is like it at that beta alone."""

    @property
    def is_near(self) -> bool:
        return not self.is_twin and self.cosine >= NEAR_COSINE

    def document(self) -> dict[str, Any]:
        told = {name: value for name, value in vars(self).items() if value is not None}
        return {**told, "is_near": self.is_near}


class Archive:
    """Fingerprints of losses of one family, to be compared with again and again.

    One float32 matrix: products of float16 are 32 times slower.
    """

    def __init__(self, fingerprints: Iterable[tuple[str, bytes]], *, is_library: bool = False) -> None:
        """Raises ValueError for bytes that are no fingerprint, or one of another family or version."""
        entries = tuple(fingerprints)
        self.names: Sequence[str] = tuple(name for name, _ in entries)
        self.are_library: Sequence[bool] = (is_library,) * len(entries)
        """A proposal may be named as one of the library is, so that names do not tell."""
        read = [read_fingerprint(raw) for _, raw in entries]
        _check_lengths({each.shape[-1] for each in read})
        # One contiguous matrix a block: (betas, magnitudes, losses, entries).
        self.blocks: Floats = np.stack(read, axis=2) if read else _NONE

    @classmethod
    def join(cls, parts: Iterable["Archive"]) -> Self:
        joined, filled = cls(()), [each for each in parts if each.names]
        if filled:
            _check_lengths({each.blocks.shape[-1] for each in filled})
            joined.names = tuple(name for each in filled for name in each.names)
            joined.are_library = tuple(one for each in filled for one in each.are_library)
            joined.blocks = np.concatenate([each.blocks for each in filled], axis=2)
        return joined

    def choose(self, places: Sequence[int]) -> Self:
        """Some of its losses, in this order."""
        chosen = type(self)(())
        if places:
            chosen.names = tuple(self.names[place] for place in places)
            chosen.are_library = tuple(self.are_library[place] for place in places)
            chosen.blocks = np.ascontiguousarray(self.blocks[:, :, places])
        return chosen

    def choose_library(self) -> Self:
        return self.choose([place for place, is_library in enumerate(self.are_library) if is_library])


_NONE = np.zeros((len(BETAS), len(MAGNITUDES), 0, 0), dtype=np.float32)


def _check_lengths(lengths: set[int]) -> None:
    if len(lengths) > 1:
        raise ValueError("An archive holds fingerprints of one family and one version; here are several.")


def read_fingerprint(raw: bytes, family: Family | None = None) -> Floats:
    """(betas, magnitudes, entries), each block at unit length. Raises ValueError for bytes that are none."""
    if not raw or len(raw) % (2 * _BLOCKS):
        raise ValueError(f"A fingerprint holds {_BLOCKS} blocks of float16; these {len(raw)} bytes do not.")
    blocks = np.frombuffer(raw, dtype="<f2").astype(np.float32).reshape(len(BETAS), len(MAGNITUDES), -1)
    if family is not None and blocks.shape[-1] != ENTRIES[family]:
        raise ValueError(f"A fingerprint of the family {family} has {ENTRIES[family]} numbers a block.")
    lengths = np.linalg.norm(blocks, axis=-1, keepdims=True)
    if not (np.abs(lengths - 1) < _ROUNDING).all():
        raise ValueError("Every block of a fingerprint has unit length; in these bytes one has not.")
    return blocks / lengths


def measure_cosines(fingerprint: bytes, archive: Archive) -> list[Floats]:
    """One (blocks, losses) for each shift, in the order in which they are tried."""
    own = read_fingerprint(fingerprint)
    # (betas of theirs, magnitudes, betas of ours, losses).
    products = np.matmul(own.transpose(1, 0, 2), archive.blocks.transpose(0, 1, 3, 2))
    is_lost = archive.blocks[:, :, :, -1] > 0, own[:, :, -1] > 0
    return [_pick(products, _COMPARED[shift], *is_lost) for shift in _SHIFTS]


def _pick(products: Floats, compared: _Compared, theirs_lost: Bools, ours_lost: Bools) -> Floats:
    theirs, magnitudes, ours = compared.betas_of_theirs, compared.magnitudes, compared.betas_of_ours
    picked: Floats = products[theirs, magnitudes, ours]
    # What overflows where margins are wider than a loss has to bear says nothing: it agrees with everything.
    wide = (_IS_WIDE[theirs, magnitudes] | _IS_WIDE[ours, magnitudes]).nonzero()[0]
    theirs, magnitudes, ours = theirs[wide], magnitudes[wide], ours[wide]
    overflows = theirs_lost[theirs, magnitudes] | ours_lost[ours, magnitudes][:, None]
    picked[wide] = np.where(overflows, 1, picked[wide])
    return picked


def find_known(fingerprint: bytes, archive: Archive) -> str | None:
    """The loss of the library that it is a twin of, whatever else in the archive is nearer."""
    near = find_twins(fingerprint, archive.choose_library(), limit=1)
    return next((each.name for each in near if each.is_twin), None)


def find_twins(fingerprint: bytes, archive: Archive, *, limit: int = 5) -> list[Neighbour]:
    """The nearest losses, twins first; at most `limit`."""
    if not archive.names:
        return []
    if len(fingerprint) != 2 * _BLOCKS * archive.blocks.shape[-1]:
        raise ValueError("The fingerprint is of another family or version than the archive's.")
    lowest = np.stack([each.min(axis=0) for each in measure_cosines(fingerprint, archive)], axis=1)
    # Rounded, so that float noise does not prefer a shift of many octaves.
    best = lowest.round(4).argmax(axis=1)
    cosines = lowest[np.arange(len(best)), best]
    single, places = _measure_singly(read_fingerprint(fingerprint), archive)
    is_single = single.round(4) > cosines.round(4)
    cosines = np.where(is_single, single, cosines)
    return [
        Neighbour(
            name=archive.names[index],
            cosine=float(cosines[index]),
            beta_shift=1.0 if is_single[index] else 2 ** (_SHIFTS[best[index]] / 2),
            is_twin=bool(cosines[index] > TWIN_COSINE),
            beta=BETAS[places[index]] if is_single[index] else None,
        )
        for index in np.argsort(-cosines, kind="stable")[:limit].tolist()
    ]


def _measure_singly(own: Floats, archive: Archive) -> tuple[Floats, NDArray[np.intp]]:
    """By loss the highest of the cosines at single betas, each the lowest of all magnitudes, and the beta's place.

    Of a loss that is another one at another beta there is none.
    """
    if (own * own[:1]).sum(axis=-1).min() < _CONSTANT:
        return np.full(len(archive.names), -1, dtype=np.float32), np.zeros(len(archive.names), dtype=np.intp)
    cosines = np.matmul(archive.blocks[_SINGLE], own[_SINGLE][..., None])[..., 0]
    lowest = np.where(_IS_WIDE[_SINGLE][..., None], 1, cosines).min(axis=1)
    best = lowest.argmax(axis=0)
    return lowest[best, np.arange(len(best))], np.array(_SINGLE, dtype=np.intp)[best]
