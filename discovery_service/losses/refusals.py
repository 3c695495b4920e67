"""Why a reply, a source or a graph is refused: a typed code, and one sentence that a language model can act on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RefusalCode(StrEnum):
    # The reply holds no source.
    EMPTY_REPLY = "empty_reply"
    NO_CODE = "no_code"
    TRUNCATED = "truncated"
    INVALID_JSON = "invalid_json"
    # The text is no program of the contract.
    TOO_LONG = "too_long"
    FORBIDDEN_CHARACTER = "forbidden_character"
    NOT_PYTHON = "not_python"
    TOO_DEEP = "too_deep"
    FORBIDDEN_SYNTAX = "forbidden_syntax"
    FORBIDDEN_NAME = "forbidden_name"
    FORBIDDEN_IMPORT = "forbidden_import"
    FORBIDDEN_STRING = "forbidden_string"
    NUMBER_TOO_LARGE = "number_too_large"
    LOOP_TOO_LONG = "loop_too_long"
    RECURSION = "recursion"
    NO_ENTRY = "no_entry"
    WRONG_SIGNATURE = "wrong_signature"
    UNKNOWN_INPUT = "unknown_input"
    MISSING_VALUE = "missing_value"
    STATE = "state"
    RANDOMNESS = "randomness"
    IN_PLACE = "in_place"
    # It cannot be compiled.
    BRANCH_ON_TENSOR = "branch_on_tensor"
    BRANCH_ON_SCALAR = "branch_on_scalar"
    BRANCH_ON_BATCH_SIZE = "branch_on_batch_size"
    DATA_DEPENDENT_SHAPE = "data_dependent_shape"
    TENSOR_TO_NUMBER = "tensor_to_number"
    WRONG_ARGUMENT = "wrong_argument"
    TOO_MANY_STEPS = "too_many_steps"
    OPERATION_NOT_ALLOWED = "operation_not_allowed"
    # Its graph is none that can be trained with.
    BAD_GRAPH = "bad_graph"
    TOO_MANY_NODES = "too_many_nodes"
    TOO_MUCH_MEMORY = "too_much_memory"
    SCALAR_RESULT = "scalar_result"
    WRONG_SHAPE = "wrong_shape"
    WRONG_DTYPE = "wrong_dtype"
    NOT_DIFFERENTIABLE = "not_differentiable"
    NON_FINITE = "non_finite"
    ZERO_GRADIENT = "zero_gradient"
    REVERSED = "reversed"
    PLACE_IN_BATCH = "place_in_batch"
    SEMANTICS_DIFFER = "semantics_differ"
    DUPLICATE = "duplicate"
    # The jail stopped it.
    SECURITY_VIOLATION = "security_violation"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    JAIL_CRASH = "jail_crash"
    BAD_OUTPUT = "bad_output"


@dataclass(frozen=True)
class Refusal:
    code: RefusalCode
    message: str
    """What is wrong and what to write instead, without paths or tracebacks."""
    line: int | None = None

    def document(self) -> dict[str, Any]:
        return {"code": self.code.value, "message": self.message, "line": self.line}


class Refused(Exception):
    """The candidate's fault, never ours. Holds every violation that was found, the first one first."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(each.message for each in refusals))
        self.refusals = refusals


def refuse(code: RefusalCode, message: str, line: int | None = None) -> Refused:
    return Refused(Refusal(code, message, line))
