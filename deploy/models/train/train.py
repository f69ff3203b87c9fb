"""Trains one demo model from a file of items, over checkpoints that resume exactly.

    python train.py cloud  --data train.jsonl --tokenizer DIR --out RUN --minutes 60
    python train.py device --data train.jsonl --tokenizer DIR --out RUN --minutes 20 --teacher cloud/last.pt

The schedule follows the share of the budget spent: warm-up, plateau, and a straight line to zero, in whose
last stretch the weights are rounded to 4 bits in every forward pass. A budget in tokens gives the same run
again; a budget in minutes fits a machine that is shared.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

import data
import model as M
from optim import Optimiser

SHAPES = {
    "device": dict(layers=4, ffn=512),
    "cloud": dict(layers=4, ffn=512, experts=8, top_k=2),
    "smoke-device": dict(layers=2, ffn=256),
    "smoke-cloud": dict(layers=2, ffn=256, experts=8, top_k=2),
}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("shape", choices=SHAPES)
    p.add_argument("--data", required=True)
    p.add_argument("--drills", help="file of drills, shown once an epoch beside the data")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--tokens", type=float, help="budget in tokens")
    p.add_argument("--minutes", type=float, help="budget in minutes of wall-clock, over all resumptions")
    p.add_argument("--stop-after", type=float, help="save and stop at this many tokens, to be resumed")
    p.add_argument("--resume", action="store_true", help="continue from OUT/last.pt where there is one")
    p.add_argument("--teacher", help="checkpoint whose distribution the answers are also fitted to")
    p.add_argument("--teacher-share", type=float, default=0.5)
    p.add_argument("--initial", help="checkpoint to start from with a fresh optimiser; a dense one is upcycled")
    p.add_argument("--renew", type=float, default=0.3, help="share of an upcycled expert's channels drawn anew")
    p.add_argument("--micro-tokens", type=int, default=2_048)
    p.add_argument("--step-micros", type=int, default=5)
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=3e-3)
    p.add_argument("--warmup", type=float, default=0.01)
    p.add_argument("--decay", type=float, default=0.45)
    p.add_argument("--quantise", type=float, default=0.18, help="last share of the budget with 4-bit rounding")
    p.add_argument("--prompt-weight", type=float, default=0.1)
    p.add_argument("--prompt-share", type=float, default=0.2)
    p.add_argument("--practice", default="", help="skills shown more often, as facts=3,arithmetic=2")
    p.add_argument("--balance", type=float, default=0.01)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2, help="1 where other work shares the cores")
    p.add_argument("--save-minutes", type=float, default=3.0)
    args = p.parse_args()
    if not args.tokens and not args.minutes:
        p.error("give a budget: --tokens or --minutes")
    return args


def save(path, payload):
    temporary = Path(f"{path}.tmp")
    torch.save(payload, temporary)
    os.replace(temporary, path)


def micro_loss(w, config, micro, teacher, args):
    """Summed weighted loss of one micro-batch, and what to log of it."""
    tokens, targets, weight = micro
    hidden, balance = M.trunk(w, config, tokens)
    at = weight.view(-1).nonzero().squeeze(1)
    picked, wanted = weight.view(-1)[at], targets.view(-1)[at]
    nll, logits = M.cross_entropy_rows(hidden.view(-1, config.hidden)[at], w["embed"], wanted)
    answer = picked == 1.0
    log = (nll.detach()[answer].sum().item(), int(answer.sum()))
    loss = (nll * picked).sum()
    if teacher is not None:
        t_w, t_config = teacher
        with torch.no_grad():
            t_hidden, _ = M.trunk(t_w, t_config, tokens)
            rows = t_hidden.view(-1, t_config.hidden)[at[answer]]
            soft = (rows.to(t_w["embed"].dtype) @ t_w["embed"].t()).float().softmax(-1)
        # Cross entropy to the soft labels: the KL divergence up to the teacher's own entropy.
        mine = logits[answer]
        soft_nll = mine.logsumexp(-1) - (soft * mine).sum(-1)
        hard = picked * torch.where(answer, 1.0 - args.teacher_share, 1.0)
        loss = (nll * hard).sum() + args.teacher_share * soft_nll.sum()
    return loss, balance * tokens.numel(), log


class Team:
    """The processes that share a step; one where nothing started more."""

    def __init__(self):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1:
            dist.init_process_group("gloo")

    def sum(self, tensors):
        """Adds up each tensor over all processes, in one message."""
        if self.size > 1:
            flat = torch.cat([t.view(-1) for t in tensors])
            dist.all_reduce(flat)
            for t, part in zip(tensors, flat.split([t.numel() for t in tensors])):
                t.copy_(part.view_as(t))


class Run:
    """Everything a checkpoint holds."""

    def __init__(self, args):
        self.args, self.team = args, Team()
        self.out = Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.encoded = data.encode(args.data, args.tokenizer)
        if args.drills:
            self.encoded = data.joined(self.encoded, data.encode(args.drills, args.tokenizer))
        vocab = data.tok.load(args.tokenizer).get_vocab_size()
        self.config = M.Config(vocab=vocab, **SHAPES[args.shape])
        self.masters = M.initialise(self.config, torch.Generator().manual_seed(args.seed))
        if args.initial:
            start = torch.load(args.initial, weights_only=True)["masters"]
            self.masters = M.upcycle(self.masters, start, args.renew, args.seed)
        self.optimiser = Optimiser(self.masters, muon_lr=args.muon_lr, adam_lr=args.adam_lr)
        practice = [(skill, int(n)) for skill, n in (p.split("=") for p in args.practice.split(",") if p)]
        prompt = (args.prompt_weight, args.prompt_share)
        self.batches = data.Batches(
            self.encoded, args.micro_tokens, args.step_micros, args.seed, prompt, practice
        )
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        if args.resume and (self.out / "last.pt").exists():
            self.load(torch.load(self.out / "last.pt", weights_only=True))
        self.teacher = None
        if args.teacher:
            loaded = torch.load(args.teacher, weights_only=True)
            t_config = M.Config(**loaded["config"])
            self.teacher = (M.compute_weights(loaded["masters"], loaded["quantised"], train=False), t_config)

    def load(self, saved):
        self.masters = saved["masters"]
        self.optimiser.load(saved["optimiser"])
        self.batches.position = tuple(saved["position"])
        self.step, self.tokens, self.seconds = saved["step"], saved["tokens"], saved["seconds"]

    def save(self, name, quantised):
        if self.team.rank:
            return
        payload = {
            "config": self.config.to_dict(),
            "masters": self.masters,
            "optimiser": self.optimiser.state(),
            "position": self.batches.position,
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "quantised": quantised,
            "args": {k: v for k, v in vars(self.args).items()},
        }
        save(self.out / name, payload)

    def progress(self):
        if self.args.tokens:
            return self.tokens / self.args.tokens
        return self.seconds / (self.args.minutes * 60)

    def one_step(self, quantise, factor):
        """Mean answer loss of the step, mean balance, and its tokens."""
        w = M.compute_weights(self.masters, quantise)
        micros = self.batches.step()
        norm = sum(float(m[2].sum()) for m in micros)
        total = sum(m[0].numel() for m in micros)
        grads = {n: torch.zeros_like(v) for n, v in self.masters.items()}
        sums = torch.zeros(4)
        for micro in micros[self.team.rank :: self.team.size]:
            loss, balance, (nll, answers) = micro_loss(w, self.config, micro, self.teacher, self.args)
            whole = loss / norm
            if self.config.experts:
                whole = whole + self.args.balance * balance / total
            whole.backward()
            for name, leaf in w.items():
                grads[name].add_(leaf.grad)
                leaf.grad = None
            sums += torch.tensor([nll, answers, float(balance.detach()), 0.0])
        # Every process measures its own time; their mean keeps the schedule the same in all.
        sums[3] = (time.time() - self.before) / self.team.size
        self.before = time.time()
        self.team.sum([*grads.values(), sums])
        self.optimiser.step(self.masters, grads, factor, self.team)
        self.step, self.tokens = self.step + 1, self.tokens + total
        self.seconds += float(sums[3])
        return float(sums[0] / sums[1]), float(sums[2]) / total / self.config.layers, total

    def describe(self):
        print(
            f"{self.args.shape}: {M.parameter_count(self.masters):,} parameters, vocabulary {self.config.vocab}, "
            f"{len(self.batches.kept):,} items ({self.batches.dropped} too long), mean length "
            f"{self.batches.lengths.mean():.1f}",
            flush=True,
        )

    def go(self):
        a = self.args
        if self.team.rank == 0:
            self.describe()
        self.before = saved_at = shown_at = time.time()
        losses, shown_tokens = [], 0
        quantise = False
        while self.progress() < 1.0:
            quantise = self.progress() > 1 - a.quantise
            factor = M.decay_to_zero(self.progress(), a.warmup, a.decay)
            loss, balance, tokens = self.one_step(quantise, factor)
            losses.append(loss)
            shown_tokens += tokens
            if self.step % 20 == 0 and self.team.rank == 0:
                rate = shown_tokens / (time.time() - shown_at)
                line = {
                    "step": self.step,
                    "progress": round(self.progress(), 4),
                    "tokens": self.tokens,
                    "loss": round(sum(losses) / len(losses), 4),
                    "balance": round(balance, 3),
                    "lr": round(factor, 3),
                    "4bit": quantise,
                    "tokens_s": round(rate),
                    "minutes": round(self.seconds / 60, 2),
                }
                print(json.dumps(line), flush=True)
                losses, shown_at, shown_tokens = [], time.time(), 0
            if a.stop_after and self.tokens >= a.stop_after:
                break
            if time.time() - saved_at > a.save_minutes * 60:
                self.save("last.pt", quantise)
                saved_at = time.time()
        self.save("last.pt", quantise)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    Run(args).go()


if __name__ == "__main__":
    main()
