"""Writes a trained checkpoint as the files that ship, and checks what it wrote.

    python export.py CHECKPOINT --tokenizer DIR --out ../cloud --name causeway-cloud
"""

import argparse
from pathlib import Path

import torch

import formats
import model as M
import tokenizer as tok


def check_gguf(path, config, masters):
    """The file read back gives the weights that training rounded to."""
    read_config, read = formats.read_gguf(path)
    same = {k: v for k, v in config.to_dict().items()}
    got = read_config.to_dict()
    for key in ("rope_theta", "eps"):
        assert abs(same.pop(key) - got.pop(key)) <= 1e-6 * max(1.0, abs(getattr(config, key))), key
    assert same == got, (same, got)
    bf16 = {n: w.to(torch.bfloat16).float() for n, w in masters.items()}
    rounded = M.compute_weights(bf16, True, dtype=torch.float32, train=False)
    for name, wanted in rounded.items():
        difference = (wanted - read[name]).abs().max().item()
        assert difference <= 1e-3 * wanted.abs().max().item(), (name, difference)


def check_transformers(folder, config):
    """Another implementation opens the files and computes the same logits and the same chat text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": "turn on the lamp: 123 हिन्दी 中文"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == tok.prompt_text(chat[0]["content"]), text
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == tok.load(folder).encode(text).ids
    assert tokenizer.decode(ids[0]) == text
    _, masters = formats.read_hf(folder)
    with torch.no_grad():
        w = M.compute_weights(masters, False, dtype=torch.float32, train=False)
        hidden, _ = M.trunk(w, config, ids)
        ours = hidden @ w["embed"].t()
        difference = (theirs(ids).logits - ours).abs().max().item()
    assert difference < 1e-3, difference
    return difference


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--name", required=True)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    config, masters = formats.read_checkpoint(args.checkpoint)
    out = Path(args.out)
    formats.write_hf(out, config, masters, args.tokenizer)
    gguf = out / f"{args.name}-q4_0.gguf"
    formats.write_gguf(gguf, config, masters, args.tokenizer, args.name)
    check_gguf(gguf, config, masters)
    difference = check_transformers(out, config)
    print(f"{M.parameter_count(masters):,} parameters; largest difference of a logit to transformers {difference:.1e}")
    for file in sorted(out.iterdir()):
        print(f"{file.stat().st_size:>12,}  {file.name}")


if __name__ == "__main__":
    main()
