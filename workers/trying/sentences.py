"""What a trial found, in a table and in words: what it says, and what it does not say."""

from collections.abc import Iterator, Mapping
from typing import Any

from workers.compare.sentences import tell_difference
from workers.evaluate.answer import tell_interval

Document = Mapping[str, Any]
_COLUMNS = ("loss", "beta", "learning rate", "accuracy", "margin", "kl", "length")
_METRICS = ("accuracy", "margin", "kl", "length")
_SIZES = {"beta": ("betas", "--beta"), "learning_rate": ("learning rates", "--lr")}
"""What they are called, and the option that widens them."""


def tabulate(answer: Document) -> tuple[list[str], list[list[str]]]:
    rows = [
        [loss["name"]]
        + [f"{loss['setting'][size]:g}" if loss["setting"] else "" for size in ("beta", "learning_rate")]
        + [tell_interval(loss["metrics"].get(name)) for name in _METRICS]
        for loss in answer["losses"]
    ]
    return list(_COLUMNS), rows


def tell(answer: Document) -> Iterator[str]:
    """Line by line, behind the table."""
    for loss in answer["losses"]:
        if loss["failure"]:
            yield f"{loss['name']} failed: {loss['failure']}"
    if answer["difference"] is not None:
        yield _tell_difference(answer)
    yield from (_tell_edges(loss) for loss in answer["losses"] if loss["at_edge"])
    yield (
        f"Means over {answer['seeds']} seeds and {answer['prompts']['reported']} prompts with 95 % intervals, for other"
        " seeds and other prompts like these. accuracy: how often the preferred answer has gained more log-probability"
        " on the base model than the other one; margin: by how many nats, without beta; kl, in nats, and length, in"
        f" tokens: of replies to {answer['prompts']['replied_to']} of the prompts."
    )
    yield (
        "This is no verdict of a campaign: one model, one file, one division of it, one small grid. Such accuracy is"
        " what DPO itself optimises; nobody has read a reply, and a loss may be better at it and write worse. Who tries"
        " many losses finds some above 0 by luck."
    )


def _tell_edges(loss: Document) -> str:
    names, options = zip(*(_SIZES[size] for size in loss["at_edge"]), strict=True)
    return (
        f"{loss['name']} was best at an end of the {' and the '.join(names)} that were tried: beyond it there may be a"
        f" better setting ({' and '.join(options)} widen the grid for both losses)."
    )


def _tell_difference(answer: Document) -> str:
    name, against, difference = answer["loss"], answer["against"], answer["difference"]
    if answer["is_same"]:
        return f"{name} is {against}: their graphs are equal, so that nothing is compared."
    if difference["low"] is None:
        return (
            f"{name} and {against} differ by {difference['mean']:+.3f} in accuracy on every prompt with every seed"
            f" alike: these prompts are too few, or too easy, to tell the two apart, or {name} is {against} on such"
            " rows, as a loss may be that asks for an annotator whom they do not name."
        )
    told = f"Accuracy of {name} less {against}'s on the same rows with the same seeds: {tell_difference(difference)}."
    if difference["low"] > 0:
        return f"{told} The interval lies above 0: here {name} agrees more often with preferences that it has not seen."
    if difference["high"] < 0:
        return f"{told} The interval lies below 0: here {against} agrees more often with preferences it has not seen."
    return f"{told} The interval holds 0: these rows and seeds do not tell the two apart."
