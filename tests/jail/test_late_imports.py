"""Nothing that a loss may ask for is loaded only after the lock, where it could not be any more.

Beside what stands here, the real replies and the library go through a locked jail in `tests/gate`.
"""

from typing import Any

import pytest

from discovery_service.domain.families import Family
from discovery_service.losses.known import list_known
from discovery_service.losses.refusals import RefusalCode, refuse
from discovery_service.losses.source import check_source
from tests.jail.compiler.running import pairwise
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES, REFUSED
from tests.jail.conftest import run_source
from tests.jail.words import BODIES, CALLS
from tests.losses.test_discopop import METHODS, SETTINGS, STATEFUL
from workers.jail.lacking import find_lack
from workers.supervisor.jail import Jail, JailUnavailable, Outcome

SIZES = {
    "an outer product": "return F.softplus(-beta * z) + torch.outer(z, z).mean(1)",
    "a sum along the batch": "return F.softplus(-beta * torch.cumsum(z, 0))",
    "a product along the batch": "return F.softplus(-beta * torch.cumprod(z / 20, 0))",
    "copies by the batch size": "return F.softplus(-beta * z) + z.repeat(z.shape[0]).mean()",
    "all pairs": "return F.softplus(-beta * z) + ((annotator[:, None] == annotator[None, :]).float() * z).mean(1)",
    "all triples": "t = z[:, None, None] + z[:, None] * z\nreturn F.softplus(-beta * z) + t.flatten().mean()",
    "a quotient of squares": "n = z.shape[0]\nreturn F.softplus(-beta * z) * (n * n // 2) / (n * (n + 1) / 2)",
    "a remainder of a square": "n = z.shape[0]\nreturn F.softplus(-beta * z) * (n * n % 7 + 1)",
    "powers": "n = z.shape[0]\nreturn F.softplus(-beta * z) * n**0.5 / n**2 * 0.9**n * math.sqrt(n)",
    "extremes": "n = z.shape[0]\nreturn F.softplus(-beta * z) * max(n * n, 5) / min(3 * n, 70)",
    "a true comparison": "n = z.shape[0]\nif n * (n - 1) > 1:\n    z = 2 * z\nreturn F.softplus(-beta * z)",
    "a reshape to a square": "n = z.shape[0]\nreturn F.softplus(-beta * z) + z.repeat(n).view(n, n).mean(0)",
    "a comparison that does not hold": "n = z.shape[0]\nif n * n % 3 == 1:\n    z = 2 * z\nreturn F.softplus(-z)",
    "sizes that do not fit": "return F.softplus(-beta * z) + z.repeat(2) * torch.outer(z, z)",
}
UNPRINTABLE = {
    "LaTeX": r'"""\beta z, \frac{a}{b}, \rho"""',
    "a no-break space": '"""a\u00a0b"""',
    "a joiner": '"""\u200d\u200c"""',
    "no character yet": '"""\U0003ffff \u0378"""',
}


def go_through(jail: Jail, source: str, family: Family, **about: Any) -> list[Outcome]:
    """All jobs that the source gets to; none may end by what was not loaded."""
    outcomes = [jail.run("compile", {"source": source, "family": family.value, **about})]
    compiled = outcomes[0].answer or {}
    if "graph" in compiled:
        checked = check_source(source, family, **about)
        outcomes.append(jail.run("execute", {"checked": checked.document(), "sent": source}))
        outcomes.append(jail.run("examine", {"graph": compiled["graph"]}))
    for outcome in outcomes:
        assert outcome.refusal is None or outcome.refusal.code is not RefusalCode.JAIL_CRASH, outcome
        assert outcome.log == ""
    return outcomes


def run_all(jail: Jail, source: str, family: Family = Family.PAIRWISE, **about: Any) -> None:
    outcomes = go_through(jail, source, family, **about)
    assert [outcome.refusal for outcome in outcomes] == [None] * 3


@pytest.mark.parametrize("title", ACCEPTED)
def test_an_accepted_sample_comes_through(title: str, production_jail: Jail) -> None:
    run_all(production_jail, ACCEPTED[title])


@pytest.mark.parametrize("title", OTHER_FAMILIES)
def test_so_does_one_of_another_family(title: str, production_jail: Jail) -> None:
    family, text = OTHER_FAMILIES[title]
    run_all(production_jail, text, family)


@pytest.mark.parametrize(
    "known", [each for family in Family for each in list_known(family)], ids=lambda each: each.name
)
def test_so_does_a_known_loss(known: Any, production_jail: Jail) -> None:
    run_all(production_jail, known.text, known.family)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {STATEFUL}))
def test_so_does_a_published_method(name: str, production_jail: Jail) -> None:
    compiled, executed, _ = go_through(production_jail, METHODS[name], Family.PAIRWISE, name=name, values=SETTINGS)
    assert (compiled.refusal, executed.refusal) == (None, None)


@pytest.mark.parametrize("title", REFUSED)
def test_a_refused_sample_is_refused_as_it_is_without_a_lock(title: str, production_jail: Jail) -> None:
    compiled = go_through(production_jail, REFUSED[title], Family.PAIRWISE)[0]
    assert compiled.refusal is not None
    assert compiled.refusal.code.value == title.partition(": ")[2]


@pytest.mark.parametrize("title", SIZES)
def test_no_arithmetic_on_sizes_lacks_anything(title: str, production_jail: Jail) -> None:
    compiled = go_through(production_jail, pairwise(SIZES[title], "annotator, beta"), Family.PAIRWISE)[0]
    assert (compiled.refusal is None) == (" not " not in title), compiled


@pytest.mark.parametrize("words", BODIES)
def test_no_word_of_the_language_lacks_anything_or_is_always_refused(words: str, production_jail: Jail) -> None:
    compiled, executed, _ = go_through(production_jail, pairwise(BODIES[words]), Family.PAIRWISE)
    assert (compiled.refusal, executed.refusal) == (None, None)


@pytest.mark.parametrize("what", UNPRINTABLE)
def test_a_docstring_may_hold_what_cannot_be_printed(what: str, production_jail: Jail) -> None:
    text = pairwise("return F.softplus(-beta * z)").replace("    z =", f"    {UNPRINTABLE[what]}\n    z =")
    run_all(production_jail, text)


LACKS = {
    "a module": "import sympy.sets.setexpr",
    "a codec": "'é'.encode('mac_croatian')",
    "wrapped": "try:\n    import sympy.sets.setexpr\nexcept ImportError as e:\n    raise RuntimeError('?') from e",
}


@pytest.mark.parametrize("what", LACKS)
def test_what_a_locked_child_lacks_is_no_fault_of_the_candidate(what: str, jail: Jail) -> None:
    zygote = jail.zygote_pid
    source = f"def lack():\n    {LACKS[what].replace(chr(10), chr(10) + '    ')}\nRESULT = lack"
    with pytest.raises(JailUnavailable, match=r"was not loaded before the lock .*(sympy|mac_croatian)"):
        jail.run("lacking", {"source": source})
    assert jail.zygote_pid == zygote  # another child would not do better
    assert run_source(jail, "RESULT = 1").answer == {"result": "1"}


def test_a_lack_is_found_behind_a_refusal() -> None:
    refused = refuse(RefusalCode.WRONG_ARGUMENT, "Torch raises.")
    refused.__context__ = RuntimeError("a wrapper")
    refused.__context__.__cause__ = ModuleNotFoundError("No module named 'sympy.sets'")
    assert find_lack(refused) == "ModuleNotFoundError: No module named 'sympy.sets'"
    assert find_lack(KeyError("a")) is None
    assert find_lack(IndexError("b")) is None


def test_all_of_the_words_were_called() -> None:
    assert len(CALLS) > 300
    assert "torch.outer" in CALLS
