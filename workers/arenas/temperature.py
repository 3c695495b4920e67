"""A language model at another temperature."""

from types import SimpleNamespace
from typing import Any


class AtTemperature:
    """Stands in for the model where answers are sampled or told."""

    def __init__(self, model: Any, temperature: float) -> None:
        self.config = model.config
        self._model, self._temperature = model, temperature

    def __call__(self, **inputs: Any) -> Any:
        return SimpleNamespace(logits=self._model(**inputs).logits / self._temperature)
