"""Measures exact match per skill of any checkpoint or shipped file, by greedy decoding with a cache.

    python evaluate.py MODEL --data test.jsonl --tokenizer DIR [--limit 1000] [--quantise] [--show 3] [--json FILE]

MODEL is a training checkpoint (.pt), a folder of Hugging Face files, or a GGUF file.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F

import data
import formats
import model as M
import tokenizer as tok

JSON_SKILLS = {"home", "photo"}
WORKED_SKILLS = {"arithmetic", "word_problem", "facts"}


def is_right(skill, expected, got):
    """The rule of the exercises' own crate: JSON as values, worked answers by what follows `Answer:`."""
    if skill in JSON_SKILLS:
        try:
            return json.loads(expected) == json.loads(got)
        except ValueError:
            return False
    if skill in WORKED_SKILLS:
        expected, got = expected.rsplit("Answer:", 1)[-1], got.rsplit("Answer:", 1)[-1]
    return folded(expected) == folded(got)


def folded(text):
    return " ".join(text.strip().rstrip(".!?。？। ").split()).lower()


class Cache:
    def __init__(self, config, rows, length_max):
        shape = (config.layers, rows, config.kv_heads, length_max, config.head_dim)
        self.k, self.v = torch.zeros(shape), torch.zeros(shape)


def forward(w, config, tokens, positions, bias, cache, at):
    """Logits of the last position, after `tokens` took their place in the cache from `at` on."""
    c = config
    cos, sin = M.rotary(c, positions)
    cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
    x = F.embedding(tokens, w["embed"])
    rows, time_, _ = x.shape
    for i in range(c.layers):
        gains = (w["attn_norm"][i], w["q_norm"][i], w["k_norm"][i])
        wqkv = torch.cat((w["wq"][i], w["wk"][i], w["wv"][i]))
        q, k, v = M.project_qkv(x, gains, wqkv, cos, sin, c)
        end = at + time_
        cache.k[i, :rows, :, at:end], cache.v[i, :rows, :, at:end] = k, v
        a = M.attend(q, cache.k[i, :rows, :, :end], cache.v[i, :rows, :, :end], bias, c)
        x = x + a @ w["wo"][i].t()
        gate_up = w["gate_up"][i].view(-1, 2 * c.ffn, c.hidden)
        if c.experts:
            h, _, share, chosen = M.route(x, w["ffn_norm"][i], w["router"][i], c)
            x = x + M.GroupedExperts.apply(h, share, chosen, gate_up, w["down"][i]).view(x.shape)
        else:
            x = M.dense_block(x, w["ffn_norm"][i], gate_up[0], w["down"][i, 0], c)
    return M.rms_norm(x[:, -1], w["norm"], c.eps) @ w["embed"].t()


@torch.no_grad()
def generate(w, config, prompts, stop, new_max):
    """Greedy continuations of a batch of prompts (token ids), padded on the left."""
    rows, width = len(prompts), max(map(len, prompts))
    pad = torch.tensor([width - len(p) for p in prompts])
    tokens = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    cache = Cache(config, rows, width + new_max)
    key = torch.arange(width + new_max)
    hidden = key[None, :] < pad[:, None]
    causal = key[None, :width] > torch.arange(width)[:, None]
    mask = (hidden[:, None, :width] | causal) & ~torch.eye(width, dtype=torch.bool)
    bias = torch.zeros(rows, width, width).masked_fill(mask, float("-inf"))[:, None, None]
    positions = (torch.arange(width)[None] - pad[:, None]).clamp(min=0)
    out, live = [[] for _ in prompts], torch.ones(rows, dtype=torch.bool)
    logits = forward(w, config, tokens, positions, bias, cache, 0)
    for step in range(new_max):
        chosen = logits.argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            if live[row]:
                if token in stop:
                    live[row] = False
                else:
                    out[row].append(token)
        if not live.any() or step == new_max - 1:
            break
        at = width + step
        bias = torch.zeros(rows, at + 1).masked_fill(hidden[:, : at + 1], float("-inf"))[:, None, None, None]
        logits = forward(w, config, chosen[:, None], (at - pad)[:, None], bias, cache, at)
    return out


def evaluate(config, masters, items, tokenizer, batch=192, new_max=200):
    """The answers in the items' order."""
    w = M.compute_weights(masters, False, dtype=torch.float32, train=False)
    stop = set(formats.special_ids(tokenizer).values())
    encoded = [tokenizer.encode(tok.prompt_text(i["prompt"])).ids for i in items]
    # Skills answer at like lengths: batches of one skill finish together.
    order = sorted(range(len(items)), key=lambda i: (items[i]["skill"], len(encoded[i])))
    answers = [None] * len(items)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        for i, ids in zip(part, generate(w, config, [encoded[i] for i in part], stop, new_max)):
            answers[i] = tokenizer.decode(ids, skip_special_tokens=True)
    return answers


def table(items, answers):
    """Right and all per skill, in the order of the skills, with a total."""
    counts = {}
    for item, answer in zip(items, answers):
        right, total = counts.get(item["skill"], (0, 0))
        counts[item["skill"]] = (right + is_right(item["skill"], item["answer"], answer), total + 1)
    known = [s for s in data.SKILLS if s in counts] + [s for s in counts if s not in data.SKILLS]
    out = {s: counts[s] for s in known}
    out["all"] = (sum(r for r, _ in counts.values()), sum(t for _, t in counts.values()))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--data", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--limit", type=int, default=1000)
    p.add_argument("--quantise", action="store_true", help="round a checkpoint to 4 bits first")
    p.add_argument("--show", type=int, default=0, help="wrong answers to print per skill")
    p.add_argument("--json", help="file for the counts")
    p.add_argument("--new-max", type=int, default=200, help="tokens an answer may have")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    items = data.read(args.data, args.limit)
    config, masters = formats.read_any(args.model, args.quantise)
    began = time.time()
    answers = evaluate(config, masters, items, tok.load(args.tokenizer), new_max=args.new_max)
    result = table(items, answers)
    shown = {}
    for item, answer in zip(items, answers):
        skill = item["skill"]
        if shown.get(skill, 0) < args.show and not is_right(skill, item["answer"], answer):
            shown[skill] = shown.get(skill, 0) + 1
            print(f"--- {skill}\n{item['prompt']}\n  wanted: {item['answer']}\n  got:    {answer}")
    for skill, (right, total) in result.items():
        print(f"{skill:14} {right:5} / {total:5}  {100 * right / max(1, total):5.1f} %")
    print(f"{time.time() - began:.0f} s")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"model": args.model, "items": len(items), "skills": result, "answers": answers}, file)


if __name__ == "__main__":
    main()
