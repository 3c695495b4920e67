"""Graphs made of the margin, and what becomes of those that are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from discovery_service.losses.graph import read_graph
from discovery_service.losses.refusals import RefusalCode, Refused
from tests.losses.graphs import PAIR, Document, GraphMaker, Value, margin
from workers.runtime.graph import Program


def make_document(make: Callable[[GraphMaker, Value], Value], **settings: Any) -> Document:
    maker = GraphMaker((*PAIR, "beta"), **settings)
    return maker.returning(make(maker, margin(maker)))


def make_program(document: Document) -> Program:
    return Program(read_graph(document))


def refusal_of(call: Callable[[], object]) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        call()
    assert str(caught.value).isascii()
    return caught.value.refusals[0].code


def outer(maker: GraphMaker, z: Value) -> Value:
    return maker.node("aten.outer.default", z, z)


def total(maker: GraphMaker, value: Value) -> Value:
    return maker.node("aten.sum.default", value)


def full(maker: GraphMaker, size: list[Any]) -> Value:
    return maker.node("aten.full.default", size, 1.0)
