# ruff: noqa
# fmt: off
"""Preference-loss arenas: one parametric generator of synthetic preference data with a known gold reward.

A text has a hidden mood s ~ U(0,1) and repeats the clause `det noun verb [adv] adj conj` (adv with chance 1/2;
the adjective is positive with chance .45 s, negative with .45 (1-s), else neutral). With p_stop > 0 a text may end
(EOS) after any clause. A prompt is BOS + 4 tokens, a completion the next <= 20 tokens.
Gold reward r = sum of adjective valences (doubled after an adverb) - immediate repeats.
Objective  J = E[r] - lambda KL(policy || reference), lambda = 1.
A pair is two completions of the reference policy; the annotator prefers a to b with probability
    sigmoid(sharpness * (r_a - r_b) + len_bias * (len_a - len_b) + fluency_bias * (logref_a - logref_b)),
then the label may be fogged (a coin where the pair differs much in reference log-prob), flipped, or given by a sloppy
annotator. What the annotator adds to r is never part of the gold reward.
    python steer.py terse                              # all losses at their tuned settings, 12 fresh draws
    python steer.py plain --losses dpo,ipo --draws 4 --tune --jbest
"""
import argparse, copy, math, os, random, statistics as st, time
os.environ.setdefault("OMP_NUM_THREADS", "1")
from dataclasses import dataclass
from types import SimpleNamespace
import torch, torch.nn as nn, torch.nn.functional as F
torch.set_num_threads(1)

@dataclass(frozen=True)
class Arena:
    p_stop: float = 0.0         # chance that a text ends after a clause (0: every completion has 20 tokens)
    n_pairs: int = 1024
    sharpness: float = 1.0      # of the annotator on the reward gap (1 = Bradley-Terry on r/lambda)
    len_bias: float = 0.0       # annotator's bonus per token of length
    fluency_bias: float = 0.0   # annotator's bonus per nat of reference log-prob
    fog: float = 0.0            # label becomes a coin with chance 1 - exp(-fog * |logref gap|)
    flip: float = 0.0           # uniform flips
    sloppy: float = 0.0         # share of rows labelled by annotator 1, who ...
    sloppy_invert: float = 0.5  # ... inverts the label with this chance (1/2 = a coin)
    assumed_flip: float = 0.1   # epsilon handed to cdpo, rdpo, mixlik (the known rate where there is one)
ARENAS = {
    "terse": Arena(p_stop=.2, len_bias=-.15),
    "fluent": Arena(fluency_bias=.7),
    "panel": Arena(sloppy=.5, sloppy_invert=.5, assumed_flip=.25),
    "fog": Arena(fog=.7, assumed_flip=.3),
    "plain": Arena(p_stop=.2),
    "flips": Arena(flip=.3, assumed_flip=.3),
}
SIZES = {"mini": dict(d=32, layers=1, inner=72, base_lr=5e-3, batch=32),
         "base": dict(d=64, layers=2, inner=136, base_lr=3e-3, batch=64)}
HEADS, PROMPT, COMPLETION, PAD, BOS, EOS = 4, 5, 20, 0, 1, 2

# ---------------------------------------------------------------- the world
RANGE, _next = {}, 3
for _cls, _n in dict(det=4, noun=16, verb=12, pos=10, neg=10, neu=10, adv=6, conj=4).items():
    RANGE[_cls] = (_next, _next + _n); _next += _n
VOCAB = _next
VALENCE = torch.zeros(VOCAB); VALENCE[slice(*RANGE["pos"])] = 1.0; VALENCE[slice(*RANGE["neg"])] = -1.0
IS_ADV = torch.zeros(VOCAB, dtype=torch.bool); IS_ADV[slice(*RANGE["adv"])] = True
def texts(n, seed, p_stop, max_len=PROMPT + COMPLETION):
    rnd, out = random.Random(seed), []; pick = lambda cls: rnd.randrange(*RANGE[cls])
    for _ in range(n):
        mood, t = rnd.random(), [BOS]
        while len(t) < max_len:
            t += [pick("det"), pick("noun"), pick("verb")]
            if rnd.random() < .5: t.append(pick("adv"))
            u = rnd.random()
            t.append(pick("pos") if u < .45 * mood else pick("neg") if u < .45 else pick("neu"))
            t.append(pick("conj"))
            if p_stop and rnd.random() < p_stop: t.append(EOS); break
        t = t[:max_len]; out.append(t + [PAD] * (max_len - len(t)))
    return torch.tensor(out)
def prompts(n, seed): return texts(n, seed, 0.0, PROMPT)  # no clause ends inside a prompt
def lengths(x): return (x[:, PROMPT:] != PAD).sum(1).float()  # counts EOS
def reward(x):
    cur, prev = x[:, PROMPT:], x[:, PROMPT - 1:-1]
    return (VALENCE[cur] * torch.where(IS_ADV[prev], 2.0, 1.0)).sum(1) - ((cur == prev) & (cur != PAD)).float().sum(1)

# ---------------------------------------------------------------- the policy
class Block(nn.Module):
    def __init__(self, d, inner):
        super().__init__()
        self.n1, self.n2 = nn.RMSNorm(d, eps=1e-6), nn.RMSNorm(d, eps=1e-6)
        self.qkv, self.o = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gu, self.dn = nn.Linear(d, 2 * inner, bias=False), nn.Linear(inner, d, bias=False)
    def forward(self, x, cos, sin, past=None):
        B, L, D = x.shape
        q, k, v = self.qkv(self.n1(x)).view(B, L, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4); half = D // HEADS // 2
        rot = lambda t: t * cos + torch.cat((-t[..., half:], t[..., :half]), -1) * sin
        q, k = rot(q), rot(k)
        if past is not None:  # key/value cache, used only while sampling
            if past: k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            past[:] = [k, v]
        a = F.scaled_dot_product_attention(q, k, v, is_causal=L > 1)
        x = x + self.o(a.transpose(1, 2).reshape(B, L, D))
        g, u = self.gu(self.n2(x)).chunk(2, -1); return x + self.dn(F.silu(g) * u)
class Policy(nn.Module):
    def __init__(self, d, layers, inner, **_):
        super().__init__()
        self.e = nn.Embedding(VOCAB, d); self.b = nn.ModuleList(Block(d, inner) for _ in range(layers))
        self.n = nn.RMSNorm(d, eps=1e-6); self.hd = nn.Linear(d, VOCAB, bias=False)
        for p in self.parameters():
            if p.dim() > 1: nn.init.normal_(p, std=.02)
        a = torch.outer(torch.arange(64), 1 / 10000 ** (torch.arange(0, d // HEADS, 2) / (d // HEADS)))
        a = torch.cat((a, a), -1); self.cos, self.sin = a.cos(), a.sin()
    def forward(self, x, start=0, past=None, pos=0):
        h, L = self.e(x), x.shape[1]
        for i, b in enumerate(self.b):
            h = b(h, self.cos[pos:pos + L], self.sin[pos:pos + L], None if past is None else past[i])
        return self.hd(self.n(h[:, start:]))
def adamw(m, lr): return torch.optim.AdamW(m.parameters(), lr=lr, betas=(.9, .95), weight_decay=0.0, fused=True)
def completion_logps(m, x):
    target = x[:, PROMPT:]
    lp = -F.cross_entropy(m(x[:, :-1], PROMPT - 1).reshape(-1, VOCAB), target.reshape(-1), reduction="none")
    return (lp.view(target.shape) * (target != PAD)).sum(1)
@torch.no_grad()
def sample(m, start, seed):
    """Inverse-CDF sampling: one seed gives every policy the same random numbers, which tightens paired differences."""
    u = torch.rand(len(start), COMPLETION, generator=torch.Generator().manual_seed(seed))
    x, past, live = start.clone(), [[] for _ in m.b], torch.ones(len(start), dtype=torch.bool)
    logits = m(start, PROMPT - 1, past)[:, 0]
    for t in range(COMPLETION):
        p = logits.softmax(-1); p[:, PAD] = 0; cdf = p.cumsum(-1)
        y = torch.searchsorted(cdf, u[:, t:t + 1] * cdf[:, -1:]).clamp(max=VOCAB - 1)[:, 0]
        y = torch.where(live, y, PAD); live = live & (y != EOS); x = torch.cat((x, y[:, None]), 1)
        if t < COMPLETION - 1: logits = m(x[:, -1:], 0, past, PROMPT + t)[:, 0]
    return x
def pretrain(size, p_stop):
    z = SIZES[size]; torch.manual_seed(0); m = Policy(**z)
    data, g, opt = texts(20000, 1, p_stop), torch.Generator().manual_seed(1), adamw(m, z["base_lr"])
    for s in range(600):
        for grp in opt.param_groups: grp["lr"] = z["base_lr"] / (1 if s < 400 else 6)
        b = data[torch.randint(0, len(data), (64,), generator=g)]
        loss = F.cross_entropy(m(b[:, :-1]).reshape(-1, VOCAB), b[:, 1:].reshape(-1), ignore_index=PAD)
        opt.zero_grad(); loss.backward(); opt.step()
    return m

# ---------------------------------------------------------------- pairs
def draw_pairs(ref, arena, seed):
    """A draw: fresh prompts, completions and labels (train() also takes order and evaluation sampling from it)."""
    n, g, start = arena.n_pairs, torch.Generator().manual_seed(10_000 + seed), prompts(arena.n_pairs, 20_000 + seed)
    a, b = sample(ref, start, 30_000 + seed), sample(ref, start, 40_000 + seed)
    with torch.no_grad(): la, lb = completion_logps(ref, a), completion_logps(ref, b)
    na, nb = lengths(a), lengths(b)
    p = arena.sharpness * (reward(a) - reward(b)) + arena.len_bias * (na - nb) + arena.fluency_bias * (la - lb)
    fog = 1 - torch.exp(-arena.fog * (la - lb).abs())
    p = (1 - fog) * p.sigmoid() + fog * .5
    p = (1 - arena.flip) * p + arena.flip * (1 - p)
    annotator = (torch.rand(n, generator=g) < arena.sloppy).float()
    p = torch.where(annotator > 0, (1 - arena.sloppy_invert) * p + arena.sloppy_invert * (1 - p), p)
    a_wins = torch.rand(n, generator=g) < p
    pick = lambda u, v: torch.where(a_wins if u.dim() == 1 else a_wins[:, None], u, v)
    return dict(tokens=torch.stack((pick(a, b), pick(b, a)), 1), annotator=annotator,
                reference_chosen_logps=pick(la, lb), reference_rejected_logps=pick(lb, la),
                chosen_lengths=pick(na, nb), rejected_lengths=pick(nb, na))

# ---------------------------------------------------------------- losses: f(row, beta, arena) -> one value per row
sp = F.softplus
def chosen_ratio(b): return b.chosen_logps - b.reference_chosen_logps
def rejected_ratio(b): return b.rejected_logps - b.reference_rejected_logps
def margin(b): return chosen_ratio(b) - rejected_ratio(b)
def ref_gap(b): return b.reference_chosen_logps - b.reference_rejected_logps
def per_token(b, c, r): return 10 * (c / b.chosen_lengths - r / b.rejected_lengths)
def noisy(e, right, wrong): return (1 - e) * right + e * wrong
LOSSES = {
    "dpo": lambda b, be, A: sp(-be * margin(b)),
    "ipo": lambda b, be, A: (margin(b) - 1 / (2 * be)) ** 2,
    "slic": lambda b, be, A: F.relu(1 - be * margin(b)),
    "exp": lambda b, be, A: torch.exp(-be * margin(b)),
    "sigmoid": lambda b, be, A: torch.sigmoid(-be * margin(b)),
    "cdpo": lambda b, be, A: noisy(A.assumed_flip, sp(-be * margin(b)), sp(be * margin(b))),
    "rdpo": lambda b, be, A: noisy(-A.assumed_flip / (1 - 2 * A.assumed_flip), sp(-be * margin(b)), sp(be * margin(b))),
    "simpo": lambda b, be, A: sp(.5 * be - be * per_token(b, b.chosen_logps, b.rejected_logps)),
    "lndpo": lambda b, be, A: sp(-be * per_token(b, chosen_ratio(b), rejected_ratio(b))),
    "rpo": lambda b, be, A: sp(-be * margin(b)) - .2 * b.chosen_logps / b.chosen_lengths,  # DPO + NLL of the chosen
    "mixlik": lambda b, be, A: -noisy(A.assumed_flip, *(torch.sigmoid(k * be * margin(b)) for k in (1, -1))).log(),
    # the arenas' own winners: the annotator's deviation from Bradley-Terry, put into the loss (elsewhere: decoys)
    "len_offset": lambda b, be, A: sp(-be * margin(b) - (A.len_bias or -.15) * (b.chosen_lengths - b.rejected_lengths)),
    "ref_offset": lambda b, be, A: sp(-(be * margin(b) + (A.fluency_bias or .3) * ref_gap(b))),
    "fog_weight": lambda b, be, A: sp(-be * margin(b)) * torch.exp(-(A.fog or .7) * ref_gap(b).abs()),
    "skip_sloppy": lambda b, be, A: sp(-be * margin(b)) * (1 - 2 * A.sloppy_invert * b.annotator),
}

# ---------------------------------------------------------------- training and evaluation
def train(ref, size, arena, loss, beta, lr, steps, seed, data=None):
    data, batch, m, n = data or draw_pairs(ref, arena, seed), SIZES[size]["batch"], copy.deepcopy(ref), arena.n_pairs
    opt, g = adamw(m, lr), torch.Generator().manual_seed(70_000 + seed); order, i = torch.randperm(n, generator=g), 0
    for s in range(steps):  # warm-up of 10 steps, then cosine to 0
        f = min(1, (s + 1) / 10) * .5 * (1 + math.cos(math.pi * max(0, s - 10) / (steps - 10)))
        for grp in opt.param_groups: grp["lr"] = lr * f
        if i + batch > n: order = torch.randperm(n, generator=g); i = 0
        ix = order[i:i + batch]; i += batch
        row = SimpleNamespace(**{k: v[ix] for k, v in data.items()})
        lp = completion_logps(m, row.tokens.flatten(0, 1)).view(-1, 2)
        row.chosen_logps, row.rejected_logps = lp[:, 0], lp[:, 1]
        value = loss(row, beta, arena).mean()
        if not torch.isfinite(value): return None
        opt.zero_grad(); value.backward(); nn.utils.clip_grad_norm_(m.parameters(), 1.0); opt.step()
    return m
@torch.no_grad()
def evaluate(m, ref, seed, n=2048):
    """E[r] by sampling; KL = exact per-token KL summed along the sampled texts; J = E[r] - KL."""
    if m is None: return dict(J=-99.0, R=0.0, KL=0.0)
    x = sample(m, prompts(n, 50_000 + seed), 60_000 + seed)
    a, b = m(x[:, :-1], PROMPT - 1).log_softmax(-1), ref(x[:, :-1], PROMPT - 1).log_softmax(-1)
    kl = ((a.exp() * (a - b)).sum(-1) * (x[:, PROMPT:] != PAD)).sum(1); r = reward(x)
    return dict(J=float((r - kl).mean()), R=float(r.mean()), KL=float(kl.mean()))
def best_j(ref, n_prompts=512, per_prompt=320):
    """J_best = E_prompt[log E_ref exp(r)], jackknifed over halves for the bias of the log; and its standard error.
    The pooled figure (log of the mean over all prompts) is an upper bound that no policy can reach."""
    p, r = prompts(n_prompts, 80_000), []
    for k in range(per_prompt // 8): r.append(reward(sample(ref, p.repeat(8, 1), 81_000 + k)).view(8, -1).T)
    r = torch.cat(r, 1).double(); lme = lambda t: torch.logsumexp(t, 1) - math.log(t.shape[1])
    full, h = lme(r), per_prompt // 2
    v = 2 * full - (lme(r[:, :h]) + lme(r[:, h:])) / 2
    return dict(J_ref=float(r.mean()), J_best=float(v.mean()), se=float(v.std() / n_prompts ** .5),
                pooled=float(torch.logsumexp(r.flatten(), 0) - math.log(r.numel())))
# Tuned at mini size: best mean J over tuning draws 0-2, never over fresh draws. beta, or (beta, lr, steps).
TUNED = {
    "terse": dict(dpo=2, ipo=0.25, slic=1, exp=1, sigmoid=(8, 0.0015, 240), cdpo=1, rdpo=(4, 0.0015, 60),
        simpo=(2, 0.0015, 240), lndpo=2, rpo=2, mixlik=4, len_offset=(1, 0.0005, 240)),
    "fluent": dict(dpo=1, ipo=0.12, slic=1, exp=0.5, sigmoid=(8, 0.0015, 240), cdpo=0.5, rdpo=2, simpo=4, rpo=1,
        mixlik=1, ref_offset=1),
    "panel": dict(dpo=0.5, ipo=0.12, slic=0.5, exp=0.25, sigmoid=(2, 0.0005, 240), cdpo=0.25, rdpo=2,
        simpo=2, rpo=0.5, mixlik=1, skip_sloppy=1),
    "fog": dict(dpo=0.5, ipo=0.12, slic=0.5, exp=0.25, sigmoid=(8, 0.0005, 240), cdpo=0.25, rdpo=4, simpo=4,
        fog_weight=0.5),
    "plain": dict(dpo=1, ipo=0.12, slic=0.5, exp=0.5, sigmoid=2, cdpo=0.5, rdpo=2, simpo=4, len_offset=2,
        ref_offset=(2, 0.0015, 240)),
    "flips": dict(dpo=0.5, ipo=0.12, sigmoid=(4, 0.0005, 120), cdpo=0.25, rdpo=4, mixlik=1),
}
TUNE_LR, TUNE_STEPS, TUNE_DRAWS, FRESH = (5e-4, 1.5e-3), (60, 120, 240), (0, 1, 2), 100
def tune(ref, size, arena, loss, betas=(.25, .5, 1.0, 2.0, 4.0, 8.0), keep=5):
    """Full grid on the first tuning draw; the `keep` best settings also on the others; best mean wins."""
    data = {s: draw_pairs(ref, arena, s) for s in TUNE_DRAWS}
    score = lambda c, s: evaluate(train(ref, size, arena, loss, *c, s, data[s]), ref, s, 1024)["J"]
    got = {c: [score(c, TUNE_DRAWS[0])] for c in ((b, lr, n) for b in betas for lr in TUNE_LR for n in TUNE_STEPS)}
    top = sorted(got, key=lambda c: -got[c][0])[:keep]
    for c in top: got[c] += [score(c, s) for s in TUNE_DRAWS[1:]]
    return max(top, key=lambda c: st.mean(got[c]))
T_975 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23, 11: 2.20, 15: 2.13}

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("arena", choices=ARENAS)
    ap.add_argument("--losses", default=""); ap.add_argument("--draws", type=int, default=12)
    ap.add_argument("--tune", action="store_true"); ap.add_argument("--jbest", action="store_true")
    ap.add_argument("--size", default="mini", choices=SIZES); o = ap.parse_args()
    arena, known = ARENAS[o.arena], TUNED.get(o.arena, {})
    names = ["dpo"] + [n for n in (o.losses.split(",") if o.losses else known or ["ipo"]) if n != "dpo"]
    ref, seeds, J = pretrain(o.size, arena.p_stop), [FRESH + i for i in range(o.draws)], {}
    data = {s: draw_pairs(ref, arena, s) for s in seeds}
    print(o.arena, arena, "\nreference", evaluate(ref, ref, FRESH), *([best_j(ref)] if o.jbest else []))
    print("loss          beta     lr  steps |     J    sd |  - dpo    95% interval      t | s/training")
    for name in names:
        c = tune(ref, o.size, arena, LOSSES[name]) if o.tune else known.get(name, 1.0)
        c, t0 = c if isinstance(c, tuple) else (c, 1.5e-3, 120), time.time()
        J[name] = [evaluate(train(ref, o.size, arena, LOSSES[name], *c, s, data[s]), ref, s)["J"] for s in seeds]
        d, n = [a - b for a, b in zip(J[name], J["dpo"])], len(seeds)
        line = f"{name:12} {c[0]:5g} {c[1]:7g} {c[2]:5d} | {st.mean(J[name]):5.3f} {st.stdev(J[name]):5.3f} | "
        if name != "dpo":
            m, se = st.mean(d), st.stdev(d) / n ** .5; h = T_975.get(n - 1, 2.0) * se
            line += f"{m:+6.3f} [{m - h:+.3f}, {m + h:+.3f}] {m / max(se, 1e-9):6.1f}"
        print(f"{line} | {(time.time() - t0) / n:.2f}", flush=True)

if __name__ == "__main__":
    main()
