"""The system's message: what a loss is, what is accepted, how it is judged, what the data are, how to reply."""

from collections.abc import Iterable

from discovery_service.domain.arenas_in_words import tell_arena, tell_tuning
from discovery_service.domain.tuning_plans import find_plan
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.prompts.brief import Brief, Message, NamedInput
from discovery_service.prompts.templates import Words

_ROWS = "(B,)"


def write_system(brief: Brief, words: Words) -> Message:
    """The same in all prompts of a campaign, so that endpoints that keep a prompt's beginning can keep this one."""
    policy = " or ".join(f"`{each.name}`" for each in brief.inputs if each.is_of_policy)
    contract = words.say(
        "contract",
        policy_inputs=policy,
        family=brief.family.value,
        inputs="\n".join(map(_show_input, brief.inputs)),
        example=f"```python\n{words.say(f'example.{brief.family}')}\n```",
    )
    judged = words.say(
        "judged",
        tuning=tell_tuning(brief.arena),
        draws=brief.screen_draws,
        counts=counted_metric(brief.arena),
        reference=brief.reference,
        room=words.say(f"room.{brief.family}"),
    )
    parts = (
        words.say("role", called=words.say(f"called.{brief.family}"), reference=brief.reference),
        contract,
        words.say("language"),
        judged,
        words.say("arena", arena="\n".join(f"- {fact}" for fact in tell_arena(brief.arena))),
        words.say("reply"),
    )
    return Message("system", join(parts))


def write_guidance(brief: Brief, words: Words) -> str:
    """Nothing where the operator adds nothing."""
    guidance = brief.guidance.strip()
    return words.say("guidance", guidance=guidance) if guidance else ""


def count_first_trainings(brief: Brief) -> int:
    """After which the worse half of a round stops."""
    return find_plan(brief.arena).first_trainings


def join(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _show_input(each: NamedInput) -> str:
    kind = "integers" if each.is_integer else "" if each.shape == _ROWS else _describe(each.shape)
    return f"- `{each.name}`{f' ({kind})' if kind else ''}: {each.meaning}"


def _describe(shape: str) -> str:
    return "a number" if shape == "()" else shape
