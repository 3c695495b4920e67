"""The prompts that stand beside the tests as a model reads them. `python -m tests.prompts.cases` writes them anew."""

from pathlib import Path

from discovery_service.domain.archive import Place
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.requests import Kind, Request
from discovery_service.prompts.brief import Context, Prompt
from discovery_service.prompts.writing import write_prompt
from tests.prompts.archives import make_archive, make_brief, tell_passports

FOLDER = Path(__file__).parent / "read"
PLENTY = 100_000
REQUESTS = {
    StrategyName.EVOLVE: Request(Kind.COMBINE, (Place(1, 0, 1), Place(2, 2)), (Place(0, 3),)),
    StrategyName.BLIND: Request(Kind.IMPROVE, (Place(1, 0, 1),), (Place(2, 2),)),
    StrategyName.BEST_OF_N: Request(Kind.FRESH),
    StrategyName.DISCOPOP: Request(Kind.FRESH),
}
_CODE = "def weighted_margin(policy_chosen_logps, policy_rejected_logps, beta): …"
REPLIES = {
    Place(1, 0, 0): f'{{"thought": "…", "name": "weighted_margin", "code": "{_CODE}"}}',
    Place(1, 0, 1): f'<think>I see.</think>\n{{"thought": "…", "name": "weighted_margin", "code": "{_CODE}"}}',
    Place(2, 0): '{"thought": "…", "name": "squared_gap", "code": "…"}',
    Place(2, 1): '{"thought": "…", "name": "scaled_dpo", "code": "…"}',
}
"""Of one model; slot 2 of the second round was another's."""


def make_context(strategy: StrategyName) -> Context:
    archive = make_archive()
    return Context(strategy, REQUESTS[strategy], archive, tell_passports(archive), REPLIES)


def make_prompt(strategy: StrategyName) -> Prompt:
    brief = make_brief(guidance="Prefer losses with no more than one constant.")
    return write_prompt(brief, make_context(strategy), budget_tokens=PLENTY)


def render(prompt: Prompt) -> str:
    said = "\n".join(f"───── {each.role}\n\n{each.content}\n" for each in prompt.messages)
    return f"version {prompt.version}, about {prompt.tokens} tokens\n\n{said}"


def path_of(strategy: StrategyName) -> Path:
    return FOLDER / f"{strategy}.txt"


if __name__ == "__main__":
    for each in StrategyName:
        path_of(each).write_text(render(make_prompt(each)), encoding="utf-8")
