"""The losses that the library knows by name. Their sources pass the gate like any other candidate's."""

from collections.abc import Mapping

from discovery_service.domain.families import Family

REFERENCE_LOSS = "dpo"

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
