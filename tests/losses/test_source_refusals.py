"""What the static check refuses: each kind with its code, its line and one sentence to act on."""

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.refusals import RefusalCode as Code
from tests.losses.sources import INPUTS as PAIR
from tests.losses.sources import codes, function, is_one_sentence, refusals

RETURN = "return F.softplus(-beta * z)"

IN_THE_BODY = [
    ("while beta > 0: beta = beta - 1", Code.FORBIDDEN_SYNTAX),
    ("try: pass\n    except: pass", Code.FORBIDDEN_SYNTAX),
    ("class A: pass", Code.FORBIDDEN_SYNTAX),
    ("del z", Code.FORBIDDEN_SYNTAX),
    ("raise ValueError('no')", Code.FORBIDDEN_SYNTAX),
    ("match beta:\n        case 1: pass", Code.FORBIDDEN_SYNTAX),
    ("y = (w := z)", Code.FORBIDDEN_SYNTAX),
    ("y = {1: z}", Code.FORBIDDEN_SYNTAX),
    ("y = {k for k in (1, 2)}", Code.FORBIDDEN_SYNTAX),
    ("y = 1 << 3", Code.FORBIDDEN_SYNTAX),
    ("y = 2j", Code.FORBIDDEN_SYNTAX),
    ("y = torch.stack(*[z])", Code.FORBIDDEN_SYNTAX),
    ("y = torch.sum(z, **beta)", Code.FORBIDDEN_SYNTAX),
    ("y = (lambda x: x)(z)", Code.FORBIDDEN_SYNTAX),
    ("y = [lambda x: x]", Code.FORBIDDEN_SYNTAX),
    ("y = torch.sigmoid", Code.FORBIDDEN_SYNTAX),
    ("y = math.pi()", Code.FORBIDDEN_SYNTAX),
    ("y = z.mean", Code.FORBIDDEN_SYNTAX),
    ("y = z.shape()", Code.FORBIDDEN_SYNTAX),
    ("y = z(1)", Code.FORBIDDEN_SYNTAX),
    ("y = torch", Code.FORBIDDEN_SYNTAX),
    ("f = lambda x: x\n    y = f", Code.FORBIDDEN_SYNTAX),
    ("with torch.no_grad() as y: pass", Code.FORBIDDEN_SYNTAX),
    ("with torch.autocast(): pass", Code.FORBIDDEN_SYNTAX),
    ("for k in range(2): pass\n    else: pass", Code.FORBIDDEN_SYNTAX),
    ("for k in range(2): break", Code.FORBIDDEN_SYNTAX),
    ("x: print(1) = z", Code.FORBIDDEN_SYNTAX),
    ("@torch.jit.script\n    def f(x): return x", Code.FORBIDDEN_SYNTAX),
    ("yield z", Code.FORBIDDEN_SYNTAX),
    ("global y", Code.STATE),
    ("loss.n = 1", Code.STATE),
    ("y = z.grad", Code.STATE),
    ("y = z.data", Code.STATE),
    ("z.register_hook(beta)", Code.STATE),
    ("y = z.requires_grad", Code.STATE),
    ("torch.set_grad_enabled(False)", Code.STATE),
    ("def f(x, s=[0]): return x", Code.STATE),
    ("f = lambda x, s=z: x", Code.STATE),
    ("z[0] = 1", Code.IN_PLACE),
    ("z[z > 0] += 1", Code.IN_PLACE),
    ("z.mul_(2)", Code.IN_PLACE),
    ("z.data.add_(1)", Code.IN_PLACE),
    ("y = F.relu(z, inplace=True)", Code.IN_PLACE),
    ("y = torch.exp(z, out=z)", Code.IN_PLACE),
    ("y = torch.rand_like(z)", Code.RANDOMNESS),
    ("y = F.dropout(z)", Code.RANDOMNESS),
    ("y = z.bernoulli()", Code.RANDOMNESS),
    ("torch.manual_seed(0)", Code.RANDOMNESS),
    ("z.normal_()", Code.RANDOMNESS),
    ("y = z.mean().item()", Code.TENSOR_TO_NUMBER),
    ("y = z.tolist()", Code.TENSOR_TO_NUMBER),
    ("y = z.detach().cpu().numpy()", Code.TENSOR_TO_NUMBER),
    ("import os", Code.FORBIDDEN_IMPORT),
    ("import numpy as np\n    y = np.clip(np.e, 0, 1)", Code.FORBIDDEN_IMPORT),
    ("from torch import os", Code.FORBIDDEN_IMPORT),
    ("from torch import *", Code.FORBIDDEN_IMPORT),
    ("from . import x", Code.FORBIDDEN_IMPORT),
    ("import torch.utils.cpp_extension as F", Code.FORBIDDEN_IMPORT),
    ("y = 'text'", Code.FORBIDDEN_STRING),
    ("y = b'bytes'", Code.FORBIDDEN_STRING),
    ("y = f'{z}'", Code.FORBIDDEN_STRING),
    ("y = torch.ones(1, device='cuda')", Code.FORBIDDEN_STRING),
    ("y = z.to('cpu')", Code.FORBIDDEN_STRING),
    ("y = torch.einsum('__import__', z)", Code.FORBIDDEN_STRING),
    ("def f(reduction): return reduction\n    y = f(reduction='none')", Code.FORBIDDEN_STRING),
    ("def f(x, kind='soft'): return x", Code.FORBIDDEN_STRING),
    ("y = z.__class__", Code.FORBIDDEN_NAME),
    ("y = __builtins__", Code.FORBIDDEN_NAME),
    ("y = z._base", Code.FORBIDDEN_NAME),
    ("y = torch._C", Code.FORBIDDEN_NAME),
    ("torch = z", Code.FORBIDDEN_NAME),
    ("for max in (1, 2): pass", Code.FORBIDDEN_NAME),
    ("y__x = z", Code.FORBIDDEN_NAME),
    ("y = unknown", Code.FORBIDDEN_NAME),
    ("print(z)", Code.FORBIDDEN_NAME),
    ("y = eval(z)", Code.FORBIDDEN_NAME),
    ("y = getattr(z, z)", Code.FORBIDDEN_NAME),
    ("def f(self): return self.anything\n    y = f(z)", Code.FORBIDDEN_NAME),
    ("self = z\n    y = self.anything", Code.FORBIDDEN_NAME),
    ("from math import exp\n    exp = 2", Code.FORBIDDEN_NAME),
    ("f = lambda x: x\n    f = z", Code.FORBIDDEN_NAME),
    ("y = annotator == 0", Code.WRONG_SIGNATURE),
    ("y = torch.load(z)", Code.OPERATION_NOT_ALLOWED),
    ("y = torch.os.system(z)", Code.OPERATION_NOT_ALLOWED),
    ("y = torch.from_file(z)", Code.OPERATION_NOT_ALLOWED),
    ("y = torch.linalg.svd(z)", Code.OPERATION_NOT_ALLOWED),
    ("y = z.untyped_storage()", Code.OPERATION_NOT_ALLOWED),
    ("y = torch.logsigmoid(z)", Code.OPERATION_NOT_ALLOWED),
    ("y = torch.ones(2, requires_grad=True)", Code.OPERATION_NOT_ALLOWED),
    ("y = z[z > 0]", Code.DATA_DEPENDENT_SHAPE),
    ("for i in range(z.shape[0]): pass", Code.BRANCH_ON_BATCH_SIZE),
    ("y = [z[i] for i in range(z.size(0))]", Code.BRANCH_ON_BATCH_SIZE),
    ("for i in range(65): pass", Code.LOOP_TOO_LONG),
    ("for i in range(9):\n        for j in range(9): pass", Code.LOOP_TOO_LONG),
    ("y = [i * j for i in range(9) for j in range(9)]", Code.LOOP_TOO_LONG),
    ("y = sum(range(10 ** 12))", Code.LOOP_TOO_LONG),
    ("y = [0.0] * 1000", Code.LOOP_TOO_LONG),
    ("y = 10 ** 400", Code.NUMBER_TOO_LARGE),
    ("y = 7 ** 10 ** 9", Code.NUMBER_TOO_LARGE),
    ("y = 1e400", Code.NUMBER_TOO_LARGE),
    ("y = 1000001", Code.NUMBER_TOO_LARGE),
    ("y = 1 / 0", Code.NUMBER_TOO_LARGE),
    ("y = torch.ones(2000, 1000)", Code.TOO_MUCH_MEMORY),
    ("y = z[:, None].expand((64, 10 ** 6))", Code.TOO_MUCH_MEMORY),
    ("y = torch.arange(0, 10 ** 9)", Code.TOO_MUCH_MEMORY),
    ("def f(x): return f(x)\n    y = f(z)", Code.RECURSION),
    ("f = lambda x: f(x)\n    y = f(z)", Code.RECURSION),
]


@pytest.mark.parametrize(("lines", "code"), IN_THE_BODY)
def test_what_may_not_stand_in_a_function(lines: str, code: Code) -> None:
    found = refusals(function(lines, RETURN))
    assert code in {refusal.code for refusal in found}
    assert all(is_one_sentence(refusal.message) for refusal in found)
    assert all(refusal.line in range(1, 7) for refusal in found)


AT_THE_TOP = [
    ("x = torch.ones(1)", Code.FORBIDDEN_SYNTAX),
    ("print(1)", Code.FORBIDDEN_SYNTAX),
    ("if True: pass", Code.FORBIDDEN_SYNTAX),
    ("class A: pass", Code.FORBIDDEN_SYNTAX),
    ("f = lambda x: x", Code.FORBIDDEN_SYNTAX),
    ("RESULT = 'text'", Code.FORBIDDEN_STRING),
    ("def f(x): return g(x)\ndef g(x): return f(x)", Code.RECURSION),
    ("def loss(x): return x", Code.FORBIDDEN_NAME),
    ("def f(policy_chosen_logps, *rest): return rest", Code.WRONG_SIGNATURE),
]


@pytest.mark.parametrize(("lines", "code"), AT_THE_TOP)
def test_what_may_not_stand_beside_the_entry(lines: str, code: Code) -> None:
    assert code in codes(lines + "\n" + function(RETURN))


SIGNATURES = [
    ("", {Code.NO_ENTRY}),
    ("x = 1", {Code.NO_ENTRY}),
    ("def f(policy_chosen_logps): return g(policy_chosen_logps)\ndef g(x): return f(x)", {Code.RECURSION}),
    ("def loss(pi_logps, beta): return pi_logps", {Code.UNKNOWN_INPUT, Code.WRONG_SIGNATURE}),
    ("def loss(policy_chosen_logps, policy_logps): return policy_chosen_logps", {Code.UNKNOWN_INPUT}),
    ("def loss(policy_chosen_logps, chosen_aux): return chosen_aux", {Code.UNKNOWN_INPUT}),
    ("def loss(reference_chosen_logps, beta): return beta", {Code.WRONG_SIGNATURE}),
    ("def loss(policy_chosen_logps, tau=None): return tau", {Code.MISSING_VALUE}),
    ("def loss(policy_chosen_logps, **kwargs): return policy_chosen_logps", {Code.WRONG_SIGNATURE}),
]


@pytest.mark.parametrize(("source", "expected"), SIGNATURES)
def test_what_keeps_a_source_from_having_an_entry(source: str, expected: set[Code]) -> None:
    found = refusals(source)
    assert {refusal.code for refusal in found} == expected
    assert all(is_one_sentence(refusal.message) for refusal in found)


OF_SELF = [
    ("self.running.update(policy_chosen_logps)", Code.STATE),
    ("y = self.args.beta", Code.STATE),
    ("self.ema = 0.9 * self.ema + policy_chosen_logps.mean()", Code.STATE),
    ("self.count += 1", Code.STATE),
    ("self.beta = 0.5", Code.STATE),
    ("y = self.table[0]", Code.STATE),
    ("y = self.compute(beta)", Code.STATE),
    ("y = self.tau", Code.MISSING_VALUE),
    ("y = helper(self)", Code.FORBIDDEN_NAME),
    ("y = self", Code.FORBIDDEN_NAME),
    ("y = self.helper(policy_chosen_logps)", Code.FORBIDDEN_SYNTAX),
    ("y = self.__class__", Code.FORBIDDEN_NAME),
    ("y = getattr(self, '__class__')", Code.FORBIDDEN_NAME),
]


@pytest.mark.parametrize(("line", "code"), OF_SELF)
def test_self_gives_numbers_and_nothing_else(line: str, code: Code) -> None:
    source = (
        "def helper(x): return x\n"
        f"def loss(self, policy_chosen_logps, beta):\n    {line}\n    return policy_chosen_logps\n"
    )
    found = refusals(source)
    assert code in {refusal.code for refusal in found}
    assert all(is_one_sentence(refusal.message) for refusal in found)


def test_every_violation_is_reported_in_the_order_of_lines() -> None:
    found = refusals(function("import os", "y = z.item()", "z[0] = torch.rand(1)", RETURN))
    assert [(refusal.line, refusal.code) for refusal in found] == [
        (3, Code.FORBIDDEN_IMPORT),
        (4, Code.TENSOR_TO_NUMBER),
        (5, Code.IN_PLACE),
        (5, Code.RANDOMNESS),
    ]


SUGGESTIONS = [
    ("return torch.softplus(z)", "use F.softplus"),
    ("return torch.logsigmoid(z)", "use F.logsigmoid"),
    ("return F.exp(z)", "use torch.exp"),
    ("return z.softplus()", "use F.softplus(x)"),
    ("return torch.sigmod(z)", "did you mean `sigmoid`"),
    ("return pow(z, 2)", "write x ** y"),
    ("return nn.functional.relu(z)", "use F for torch.nn.functional"),
    ("return progress * z", "add it to the parameters"),
]


@pytest.mark.parametrize(("line", "hint"), SUGGESTIONS)
def test_the_sentence_says_what_to_write_instead(line: str, hint: str) -> None:
    (refusal,) = refusals(function(line))
    assert hint in refusal.message


def test_an_input_of_another_family_is_named_as_such() -> None:
    (refusal,) = refusals(function(RETURN, parameters=f"{PAIR}, prompt_value"))
    assert "belongs to the family auxiliary" in refusal.message
    assert codes(function(RETURN, parameters=f"{PAIR}, prompt_value"), Family.AUXILIARY) == set()


def test_a_misspelt_input_gets_the_right_spelling() -> None:
    (refusal,) = refusals(function(RETURN, parameters=f"{PAIR}, chosen_length"))
    assert "did you mean `chosen_lengths`" in refusal.message
