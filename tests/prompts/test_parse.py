"""From a reply to a source: every shape that replies come in, and a typed reason for each that holds none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.prompts.parse import FailureCode, Reply, ReplyFailure, parse_reply

CODE = "def loss(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"
PROPOSAL = {"thought": "Think.", "name": "loss", "code": CODE}
JSON = json.dumps(PROPOSAL)
RAW = '{\n  "thought": "Think.",\n  "name": "loss",\n  "code": "' + CODE + '"\n}'
PYTHON = f"```python\n{CODE}```\n"
DRAFT = json.dumps({"name": "draft", "code": "def draft(policy_chosen_logps):\n    return policy_chosen_logps\n"})


def parsed(text: str) -> Reply:
    reply = parse_reply(text)
    assert isinstance(reply, Reply), reply
    return reply


def failure(text: str) -> ReplyFailure:
    reply = parse_reply(text)
    assert isinstance(reply, ReplyFailure), reply
    return reply


SHAPES = {
    "JSON": JSON,
    "indented JSON": json.dumps(PROPOSAL, indent=4),
    "fenced JSON": f"```json\n{JSON}\n```",
    "fenced JSON without a language": f"```\n{JSON}\n```",
    "a fence of tildes": f"~~~json\n{JSON}\n~~~",
    "a fence of four": f"````json\n{JSON}\n````",
    "a fence that is not closed": f"```json\n{JSON}",
    "a fence in a list": f"1. Here:\n   ```json\n   {JSON}\n   ```",
    "text around it": f"Sure! Here {{it}} is, with $\\frac{{1}}{{2}}$:\n\n{JSON}\n\nI hope this {{helps}}.",
    "text around a fence": f"Sure!\n```json\n{JSON}\n```\nEach of {{0.1, 0.2}} would do.",
    "thinking before it": f'<think>\nMaybe {{"name": "draft", "code": "def draft(): pass"}}?\n</think>\n{JSON}',
    "thinking twice": f"<think>One.</think>\n<thinking>Two.</thinking>\n{JSON}",
    "thinking without its first tag": f"Let me think.\n```python\ndef draft(): pass\n```\n</think>\n{JSON}",
    "thinking in the middle of a line": f"Sure. <reasoning>{DRAFT}</reasoning> {JSON}",
    "thinking as Magistral does": f"[THINK]Maybe {DRAFT}[/THINK]{JSON}",
    "thinking as Kimi does": f"◁think▷Maybe {DRAFT}◁/think▷{JSON}",
    "thinking as Seed does": f"<seed:think>Maybe {DRAFT}</seed:think>{JSON}",
    "thinking in a channel": f"<|channel|>analysis<|message|>Maybe {DRAFT}<|end|><|start|>assistant<|channel|>final"
    f"<|message|>{JSON}<|return|>",
    "thinking in a channel before bare Python": f"<|start|>assistant<|channel|>analysis<|message|>Name: loss. {DRAFT}"
    f"<|channel|>final<|message|>Name: loss\n{CODE}",
    "thinking in a channel whose marks were taken away": f"analysisWe need {DRAFT}assistantfinal{JSON}",
    "other thinking without its first tag": f"Maybe {DRAFT}\n</thinking>\n{JSON}",
    "thoughts about both tags": json.dumps({**PROPOSAL, "thought": "First <analysis>this</analysis>, then that."}),
    "raw line breaks in strings": RAW,
    "raw line breaks and a comma too many": RAW.replace('"\n}', '",\n}'),
    "no comma between entries": RAW.replace('",\n', '"\n'),
    "raw quotes in strings": RAW.replace("Think.", 'Think of "it", then.').replace(CODE, CODE + '# "both", said\n'),
    "triple quotes": RAW.replace(f'"{CODE}"', f'"""\n{CODE}"""'),
    "a Python dict": repr(PROPOSAL),
    "bare keys and backticks": f"{{thought: 'Think.', name: 'loss', code: `{CODE}`}}",
    "escapes that JSON lacks": JSON.replace("Think.", r"Think of \alpha \_ \'it\'."),
    "code as a list of lines": json.dumps({**PROPOSAL, "code": CODE.splitlines()}),
    "code in a fence within the string": json.dumps({**PROPOSAL, "code": PYTHON}),
    "code whose line breaks are escaped twice": json.dumps({**PROPOSAL, "code": CODE.replace("\n", "\\n")}),
    "code under another key": json.dumps({"thought": "Think.", "name": "loss", "loss": CODE}),
    "code as an object": json.dumps({**PROPOSAL, "code": {"language": "python", "content": CODE}}),
    "code in a fence after an object that speaks of it": json.dumps({**PROPOSAL, "code": "see below"}) + f"\n{PYTHON}",
    "a call that nobody made": json.dumps({"name": "propose", "arguments": JSON}),
    "an object written as a string": json.dumps(JSON),
    "comments": '{ // An idea:\n"thought": "Think.", // perhaps\n"name": "loss",\n"code": '
    + f"{json.dumps(CODE)} // so\n}}",
    "typographic quotes": "{“thought”: “Think.”, “name”: “loss”, “code”: “" + CODE.replace("\n", "\\n") + "”}",
    "within another object": json.dumps({"proposal": PROPOSAL}),
    "a list": json.dumps([PROPOSAL]),
    "a byte order mark": "\ufeff" + JSON,
    "Windows line ends": json.dumps(PROPOSAL, indent=1).replace("\n", "\r\n"),
    "fenced Python": f"**Name:** `loss`\n\n{PYTHON}",
    "fenced Python without a language": f"Name: loss\n\n```\n{CODE}```",
    "fenced Python in capitals": f"Name: loss\n\n```Python title=loss.py\n{CODE}```",
    "fenced Python with JSON that has no code": json.dumps({"thought": "Think.", "name": "loss"}) + "\n" + PYTHON,
    "bare Python": f"Name: loss\n\nimport torch\n\n{CODE}\nThat is it.",
    "fenced Python with Windows line ends": f"Name: loss\n\n{PYTHON}".replace("\n", "\r\n"),
    "a quotation": f"Name: loss\n\n{PYTHON}".replace("\n", "\n> "),
    "thoughts about thinking": json.dumps({**PROPOSAL, "thought": "In <think> tags one thinks."}),
    "a comment about thinking": f"Name: loss\n\n```python\n{CODE}    # not <think>\n```",
    "keys with spaces": json.dumps({f" {key} ": value for key, value in PROPOSAL.items()}),
    "other things in fences before it": f"Name: loss\n```bash\npip install torch\n```\n```\nx - y\n```\n{PYTHON}",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES.keys())
def test_the_code_is_found_in_every_shape(text: str) -> None:
    reply = parsed(text)
    assert reply.name == "loss"
    assert CODE.strip() in reply.code.replace("\r", "")
    assert reply.code.replace("\r", "").startswith(("def loss", "import torch\n\ndef loss"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_loss_has_the_functions_of_other_blocks_that_it_calls(order: int) -> None:
    inner = "def _half(x):\n    return x / 2\n"
    outer = "def _quarter(x):\n    return _half(_half(x))\n"
    loss = "def loss(policy_chosen_logps):\n    return _quarter(policy_chosen_logps)\n"
    blocks = [f"```python\n{part}```\n" for part in (inner, outer, loss)][::order]
    reply = parsed("Name: loss\n" + "and\n".join(blocks) + "\n```python\ndef unused(x):\n    return x\n```")
    assert [line for line in reply.code.splitlines() if "def" in line] == [
        each.splitlines()[0] for each in (inner, outer, loss)
    ]
    assert reply.notes == ()


def test_json_gives_the_thought_the_name_and_the_code_as_they_are() -> None:
    assert parsed(JSON) == Reply(name="loss", thought="Think.", code=CODE)


def test_text_before_a_fence_is_the_thought() -> None:
    assert parsed(f"Thought: It is linear.\n\n{PYTHON}").thought == "It is linear."
    assert parsed(f"{PYTHON}\nIt is linear.").thought == "It is linear."


def test_characters_beyond_the_basic_plane_survive_a_repair() -> None:
    assert (
        parsed(RAW.replace("Think.", r"\ud83d\ude00 \u03b2")).thought == "\N{GRINNING FACE} \N{GREEK SMALL LETTER BETA}"
    )


OTHER = "def other(policy_chosen_logps):\n    return policy_chosen_logps\n"
ALTERNATIVES = {
    "two objects": JSON + "\n\nOr else:\n" + json.dumps({"name": "other", "code": OTHER}),
    "two fences": f"Name: loss\n{PYTHON}\nName: other\n```python\n{OTHER}```",
    "a list": json.dumps([PROPOSAL, {"name": "other", "code": OTHER}]),
    "candidates of one object": json.dumps({"candidates": [PROPOSAL, {"name": "other", "code": OTHER}]}),
    "an object and a fence": f"{JSON}\nName: other\n```python\n{OTHER}```",
}


@pytest.mark.parametrize("text", ALTERNATIVES.values(), ids=ALTERNATIVES.keys())
def test_of_several_proposals_the_first_counts_and_the_rest_is_noted(text: str) -> None:
    reply = parsed(text)
    assert reply.name == "loss"
    assert reply.code == CODE
    assert "left aside: other" in reply.notes[-1]


def test_the_same_proposal_said_twice_is_no_alternative() -> None:
    assert parsed(f"{JSON}\n\nThe code once more:\n{PYTHON}").notes == ()


def test_a_repair_is_noted() -> None:
    assert parsed(JSON).notes == ()
    assert parsed(RAW + "\n").notes == ()
    assert parsed(RAW.replace('"\n}', '",\n}')).notes == ("The JSON was not valid and was repaired.",)


def test_what_cannot_be_read_does_not_hide_what_can() -> None:
    reply = parsed('{"name": "loss", "code": oops}\n\nI mean:\n' + JSON)
    assert reply.code == CODE
    assert "could not be read" in reply.notes[0]


@pytest.mark.parametrize("key", ["values", "hyperparameters", "params"])
def test_numbers_beside_the_source_are_values_of_hyperparameters(key: str) -> None:
    given = {"tau": 0.1, "steps": 3, "flag": True, "text": "x", "none": None, "huge": 1e999, "list": [1]}
    expected = {"tau": 0.1, "steps": 3}
    assert parsed(json.dumps({**PROPOSAL, key: given})).values == expected
    listed = [{"name": name, "value": value} for name, value in given.items()] + [{"name": ["x"]}, 7]
    assert parsed(json.dumps({**PROPOSAL, key: listed})).values == expected


SPELLED = {
    "in capitals": {"Hyperparameters": {"tau": 0.1}},
    "as text": {"values": {"tau": "0.1"}},
    "with a default": {"values": {"tau": {"default": 0.1, "range": [0, 1]}}},
    "listed with a default": {"values": [{"name": "tau", "default": 0.1}]},
    "beside nothing": {"values": {}, "hyperparameters": {"tau": 0.1}},
}


@pytest.mark.parametrize("given", SPELLED.values(), ids=SPELLED.keys())
def test_values_are_read_however_they_are_spelled(given: dict[str, object]) -> None:
    assert parsed(json.dumps({**PROPOSAL, **given})).values == {"tau": 0.1}


@pytest.mark.parametrize("name", ["a\0", "\ud800", "", "two words", "1st", "a\nb"])
def test_what_no_parameter_can_be_called_has_no_value(name: str) -> None:
    assert parsed(json.dumps({**PROPOSAL, "values": {name: 1, "tau": 0.1}})).values == {"tau": 0.1}
    assert parsed(json.dumps({**PROPOSAL, "values": [{"name": name, "value": 1}]})).values == {}


def test_a_name_is_one_line() -> None:
    assert parsed(json.dumps({**PROPOSAL, "name": " a\n\n# The task\n\u2028b\t"})).name == "a # The task b"


def test_name_and_thought_are_text_that_a_database_can_hold() -> None:
    reply = parsed(json.dumps({"thought": "a\0b\ud800c\u202ed" + "x" * 10_000, "name": "n\0" * 200, "code": CODE}))
    assert reply.thought.startswith("a\ufffdb\ufffdc\ufffdd")
    assert len(reply.thought) <= 8_000
    assert len(reply.name) <= 100
    (reply.thought + reply.name).encode()


FAILURES = {
    "nothing": ("", FailureCode.EMPTY_REPLY),
    "white space": (" \n\t", FailureCode.EMPTY_REPLY),
    "characters of no width": ("\u200b\u2060\n\ufeff", FailureCode.EMPTY_REPLY),
    "thinking and nothing else": ("<think>Hm.</think>\n", FailureCode.EMPTY_REPLY),
    "thinking without an end": (f"<think>Maybe {JSON} or", FailureCode.TRUNCATED),
    "prose": ("DPO is hard to beat: use beta in {0.1, 0.5}.", FailureCode.NO_CODE),
    "a refusal": ("I'm sorry, but I can't help with that.", FailureCode.NO_CODE),
    "an object without code": (json.dumps({"thought": "Think.", "name": "x"}), FailureCode.NO_CODE),
    "an object with empty code": (json.dumps({**PROPOSAL, "code": " "}), FailureCode.NO_CODE),
    "an object with other code": (json.dumps({**PROPOSAL, "code": None}), FailureCode.NO_CODE),
    "formulas in a fence": ("```\nloss = -log(sigmoid(x))\n```", FailureCode.NO_CODE),
    "an object cut in its first key": ('{"thou', FailureCode.TRUNCATED),
    "an object cut in a string": (JSON[:-20], FailureCode.TRUNCATED),
    "an object cut behind a string": (JSON[:-1], FailureCode.TRUNCATED),
    "a fenced object cut in a string": (f"```json\n{JSON[:-20]}", FailureCode.TRUNCATED),
    "raw line breaks cut in a string": (RAW[:-20], FailureCode.TRUNCATED),
    "fenced Python cut": (f"Here:\n```python\n{CODE[:-9]}", FailureCode.TRUNCATED),
    "a string without end": (f"```json\n{RAW[:-3]}\n}}\n```", FailureCode.INVALID_JSON),
    "a string without end and no fence": (f"{RAW[:-3]}\n}}\nThat is it.", FailureCode.INVALID_JSON),
    "comments without a function": ('{ // An idea:\n"name": "x" // so\n}', FailureCode.NO_CODE),
    "an expression": ('{"name": "x", "code": 1 + 1}', FailureCode.INVALID_JSON),
    "a word": ('{"name": "x", "code": undefined}', FailureCode.INVALID_JSON),
}


@pytest.mark.parametrize(("text", "code"), FAILURES.values(), ids=FAILURES.keys())
def test_a_reply_without_a_source_gets_its_reason_in_one_sentence(text: str, code: FailureCode) -> None:
    found = failure(text)
    assert found.code is code
    assert found.message.endswith(".")
    assert ". " not in found.message
    assert "\n" not in found.message


# The slowest of these takes .25 s; quadratic time would be minutes.
ENDLESS_S = 60

LONG = {
    "objects": '{"a":' * 100_000,
    "objects that are not closed": '{"code": "' * 50_000,
    "quotes": '{"code": "' + '" ' * 240_000,
    "backslashes": '{"code": "' + "\\" * 400_000,
    "brackets": '{"code": ' + "[" * 400_000,
    "digits": '{"code": ' + "9" * 400_000 + "}",
    "deep and closed": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "fences": "```\n" * 120_000,
    "fences with functions": "```\ndef f():\n```\n" * 30_000,
    "thoughts": "<think></think>" * 30_000,
    "names": "name x " * 60_000 + f"\n{PYTHON}",
    "functions": "def f(\n" * 70_000,
    "backticks": "`" * 400_000,
    "thoughts of all kinds": "[THINK]</think>◁think▷<|end|>" * 15_000,
    "ends of thoughts": "</think>" * 60_000,
    "comments": '{"code": "x"' + "//" * 200_000,
    "comments on lines of their own": '{"code": "x"' + "//\n" * 150_000,
    "helpers": "".join(f"```\ndef f{number}(x):\n    return f{number + 1}(x)\n```\n" for number in range(9_000)),
    "a fence and spaces": "```" + " " * 400_000 + "`",
    "a fence and a word": "```" + "a" * 400_000 + "`",
    "tildes and a word": "~" * 200_000 + "a" * 200_000 + "`",
    "a fence in the code": '{"code": "```' + " " * 200_000 + '`"}',
    "megabytes": "x" * 5_000_000,
}


@pytest.mark.timeout(ENDLESS_S)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_every_reply_is_read_to_its_end(text: str) -> None:
    parse_reply(text)


PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", '"', "'", ":", ",", "\\", "\n", "```", "```python\n", "<think>", "</think>", "`", '"""'),
        *('"code":', '"name":', '"values":', '{"code": "x"}', "def f(x):\n    return x\n", "1e999", "null", "\0"),
        *("\ud800", " ", "x"),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_any_text_is_a_reply_or_a_failure(text: str) -> None:
    reply = parse_reply(text)
    assert isinstance(reply, Reply | ReplyFailure)
    if isinstance(reply, Reply):
        assert reply.code.strip()
        (reply.name + reply.thought + "".join(reply.notes)).encode()
