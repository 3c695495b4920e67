"""The reward-KL frontier: what policies earn for how far they went from their reference, where nothing does better."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def find_frontier(points: Mapping[Name, tuple[float, float]]) -> list[Name]:
    """By growing KL, of (KL, reward): those than which no other has as much reward at less KL, or more at as much."""
    frontier: list[Name] = []
    best = float("-inf")
    for name, (_, reward) in sorted(points.items(), key=lambda each: (each[1][0], -each[1][1])):
        if reward > best:
            frontier.append(name)
            best = reward
    return frontier
