"""The losses that the library knows by name. Their sources pass the gate like any other candidate's."""

from collections.abc import Iterable, Mapping

from discovery_service.domain.families import Family

REFERENCE_LOSSES: Mapping[str, str] = {
    Family.PAIRWISE: "dpo",
    Family.AUXILIARY: "dpo",
    Family.OUTCOME: "oo_rlhf",
    Family.MATCHING: "kl_rlhf",
}
"""What everything of the family is compared with: what whoever has read no paper on it would train with."""
REFERENCES = frozenset(REFERENCE_LOSSES.values())
"""In no other family than its own has the library a loss of such a name."""


def find_reference(names: Iterable[str]) -> str:
    """Among known losses of one family."""
    return next(name for name in names if name in REFERENCES)


# In the order in which they are shown. A name has a source of the same name in the library, and no source is unnamed.
# The auxiliary family has all inputs of the pairwise one, and so takes its losses as they are.
KNOWN_LOSSES: Mapping[Family, tuple[str, ...]] = {
    Family.PAIRWISE: (
        *("dpo", "cdpo", "robust_dpo", "ipo", "ipo_avg", "slic", "kto_pair", "exp", "simpo", "orpo"),
        *("length_dpo", "dpop", "dpo_nll", "cal_dpo", "chi_po", "sppo", "exo", "nca_pair", "aot"),
        *("apo_zero", "apo_down", "sign"),
        *("dbaql", "aql", "padll", "aqfl", "cell", "lrml", "pfl"),
    ),
    Family.AUXILIARY: ("dpo", "ipo", "kto_pair", "modpo", "upo_dpo", "upo_kto"),
    Family.OUTCOME: ("oo_rlhf", "sft_best_half", "cpo", "dr_cpo"),
    Family.MATCHING: ("kl_rlhf", "pm", "conditional_pm"),
}
