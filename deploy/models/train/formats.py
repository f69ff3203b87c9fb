"""Owns the two shipped formats: Hugging Face files in BF16 and GGUF in 4 bits, written and read back."""

import json
import os
from pathlib import Path

import torch

import model as M
import tokenizer as tok


def hf_names(config):
    """(published name, master's name, index into the master) of every tensor."""
    yield "model.embed_tokens.weight", "embed", ()
    yield "model.norm.weight", "norm", ()
    for i in range(config.layers):
        layer = f"model.layers.{i}"
        yield f"{layer}.input_layernorm.weight", "attn_norm", (i,)
        yield f"{layer}.post_attention_layernorm.weight", "ffn_norm", (i,)
        for short, long in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("o", "o_proj")):
            yield f"{layer}.self_attn.{long}.weight", f"w{short}", (i,)
        yield f"{layer}.self_attn.q_norm.weight", "q_norm", (i,)
        yield f"{layer}.self_attn.k_norm.weight", "k_norm", (i,)
        if config.experts:
            yield f"{layer}.mlp.gate.weight", "router", (i,)
        for e in range(max(1, config.experts)):
            mlp = f"{layer}.mlp.experts.{e}" if config.experts else f"{layer}.mlp"
            yield f"{mlp}.gate_proj.weight", "gate_up", (i, e, 0)
            yield f"{mlp}.up_proj.weight", "gate_up", (i, e, 1)
            yield f"{mlp}.down_proj.weight", "down", (i, e)


def hf_config(config, ids):
    c = config
    out = {
        "architectures": ["Qwen3MoeForCausalLM" if c.experts else "Qwen3ForCausalLM"],
        "model_type": "qwen3_moe" if c.experts else "qwen3",
        "vocab_size": c.vocab,
        "hidden_size": c.hidden,
        "intermediate_size": c.ffn,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": c.positions,
        "rms_norm_eps": c.eps,
        "rope_theta": c.rope_theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": None,
        "eos_token_id": ids["eos"],
        "pad_token_id": ids["pad"],
        "torch_dtype": "bfloat16",
    }
    if c.experts:
        out |= {
            "num_experts": c.experts,
            "num_experts_per_tok": c.top_k,
            "moe_intermediate_size": c.ffn,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "output_router_logits": False,
            "router_aux_loss_coef": 0.01,
        }
    return out


def special_ids(tokenizer):
    return {"eos": tokenizer.token_to_id("<|im_end|>"), "pad": tokenizer.token_to_id("<|endoftext|>")}


def replace_text(path, text):
    temporary = Path(f"{path}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_hf(folder, config, masters, tokenizer_dir):
    """The masters rounded to BF16 under the published names, with tokenizer and configuration."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tok.load(tokenizer_dir)
    ids = special_ids(tokenizer)
    tensors = {
        name: masters[master][index].to(torch.bfloat16).contiguous() for name, master, index in hf_names(config)
    }
    temporary = folder / "model.safetensors.tmp"
    save_file(tensors, str(temporary), metadata={"format": "pt"})
    temporary.chmod(0o644)
    os.replace(temporary, folder / "model.safetensors")
    tok.save(tokenizer, folder)
    replace_text(folder / "config.json", json.dumps(hf_config(config, ids), indent=2) + "\n")
    generation = {
        "do_sample": False,
        "eos_token_id": [ids["eos"], ids["pad"]],
        "pad_token_id": ids["pad"],
        "max_new_tokens": 256,
    }
    replace_text(folder / "generation_config.json", json.dumps(generation, indent=2) + "\n")


def read_hf(folder):
    """(config, float32 masters) of files that `write_hf` wrote."""
    from safetensors.torch import load_file

    raw = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    experts = raw.get("num_experts", 0)
    config = M.Config(
        vocab=raw["vocab_size"],
        layers=raw["num_hidden_layers"],
        hidden=raw["hidden_size"],
        ffn=raw["moe_intermediate_size"] if experts else raw["intermediate_size"],
        experts=experts,
        top_k=raw.get("num_experts_per_tok", 2),
        heads=raw["num_attention_heads"],
        kv_heads=raw["num_key_value_heads"],
        head_dim=raw["head_dim"],
        rope_theta=raw["rope_theta"],
        eps=raw["rms_norm_eps"],
        positions=raw["max_position_embeddings"],
    )
    masters = M.initialise(config, torch.Generator().manual_seed(0))
    tensors = load_file(str(Path(folder) / "model.safetensors"))
    for name, master, index in hf_names(config):
        masters[master][index] = tensors[name].float()
    return config, masters


def gguf_tensors(config, masters):
    """(ggml name, float32 tensor, wanted type) in file order."""
    yield "token_embd.weight", masters["embed"], "Q8_0"
    yield "output_norm.weight", masters["norm"], "F32"
    for i in range(config.layers):
        b = f"blk.{i}"
        yield f"{b}.attn_norm.weight", masters["attn_norm"][i], "F32"
        yield f"{b}.attn_q.weight", masters["wq"][i], "Q4_0"
        yield f"{b}.attn_q_norm.weight", masters["q_norm"][i], "F32"
        yield f"{b}.attn_k.weight", masters["wk"][i], "Q4_0"
        yield f"{b}.attn_k_norm.weight", masters["k_norm"][i], "F32"
        yield f"{b}.attn_v.weight", masters["wv"][i], "Q4_0"
        yield f"{b}.attn_output.weight", masters["wo"][i], "Q4_0"
        yield f"{b}.ffn_norm.weight", masters["ffn_norm"][i], "F32"
        gate, up, down = masters["gate_up"][i, :, 0], masters["gate_up"][i, :, 1], masters["down"][i]
        if config.experts:
            yield f"{b}.ffn_gate_inp.weight", masters["router"][i], "F32"
            yield f"{b}.ffn_gate_exps.weight", gate, "Q4_0"
            yield f"{b}.ffn_up_exps.weight", up, "Q4_0"
            yield f"{b}.ffn_down_exps.weight", down, "Q4_0"
        else:
            yield f"{b}.ffn_gate.weight", gate[0], "Q4_0"
            yield f"{b}.ffn_up.weight", up[0], "Q4_0"
            yield f"{b}.ffn_down.weight", down[0], "Q4_0"


def write_gguf_metadata(writer, config, name):
    import gguf

    c = config
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(c.positions)
    writer.add_embedding_length(c.hidden)
    writer.add_block_count(c.layers)
    writer.add_feed_forward_length(c.ffn)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_layer_norm_rms_eps(c.eps)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_vocab_size(c.vocab)
    if c.experts:
        writer.add_expert_count(c.experts)
        writer.add_expert_used_count(c.top_k)
        writer.add_expert_feed_forward_length(c.ffn)


def write_gguf_tokenizer(writer, tokenizer_dir):
    import gguf

    tokenizer = tok.load(tokenizer_dir)
    ids = special_ids(tokenizer)
    saved = json.loads(tokenizer.to_str())
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    control = {tokenizer.token_to_id(s) for s in tok.SPECIAL}
    merges = [m if isinstance(m, str) else " ".join(m) for m in saved["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in by_id])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if i in control else gguf.TokenType.NORMAL for _, i in by_id]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(ids["pad"])
    writer.add_eos_token_id(ids["eos"])
    writer.add_pad_token_id(ids["pad"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(tok.CHAT_TEMPLATE)


def write_gguf(path, config, masters, tokenizer_dir, name):
    """The masters with matrices in Q4_0, the embedding in Q8_0, and gains and router in float32."""
    import gguf

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{path}.tmp")
    writer = gguf.GGUFWriter(str(temporary), "qwen3moe" if config.experts else "qwen3")
    write_gguf_metadata(writer, config, name)
    write_gguf_tokenizer(writer, tokenizer_dir)
    for tensor_name, tensor, kind in gguf_tensors(config, masters):
        # What BF16 files hold is what gets quantised, so that the two differ by the rounding alone.
        values = tensor.to(torch.bfloat16).float().contiguous().numpy()
        kind = gguf.GGMLQuantizationType[kind]
        if kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor_name, values)
        else:
            writer.add_tensor(tensor_name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, path)


def read_gguf(path):
    """(config, float32 masters) of a file that `write_gguf` wrote, dequantised."""
    import gguf

    reader = gguf.GGUFReader(str(path))
    arch = reader.fields["general.architecture"].contents()

    def field(name, default=None):
        entry = reader.fields.get(f"{arch}.{name}")
        return default if entry is None else entry.contents()

    experts = field("expert_count", 0)
    config = M.Config(
        vocab=field("vocab_size"),
        layers=field("block_count"),
        hidden=field("embedding_length"),
        ffn=field("expert_feed_forward_length") if experts else field("feed_forward_length"),
        experts=experts,
        top_k=field("expert_used_count", 2),
        heads=field("attention.head_count"),
        kv_heads=field("attention.head_count_kv"),
        head_dim=field("attention.key_length"),
        rope_theta=field("rope.freq_base"),
        eps=field("attention.layer_norm_rms_epsilon"),
        positions=field("context_length"),
    )
    masters = M.initialise(config, torch.Generator().manual_seed(0))
    read = {t.name: t for t in reader.tensors}
    for name, target, _ in gguf_tensors(config, masters):
        t = read[name]
        values = gguf.quants.dequantize(t.data, t.tensor_type)
        target.copy_(torch.from_numpy(values.copy()).view(target.shape))
    return config, masters


def read_checkpoint(path, quantise=False):
    """(config, float32 masters) of a training checkpoint, rounded to 4 bits if asked."""
    saved = torch.load(path, weights_only=True)
    masters = saved["masters"]
    if quantise:
        masters = M.compute_weights(masters, True, dtype=torch.float32, train=False)
    return M.Config(**saved["config"]), masters


def read_any(path, quantise=False):
    path = Path(path)
    if path.is_dir():
        return read_hf(path)
    if path.suffix == ".gguf":
        return read_gguf(path)
    return read_checkpoint(path, quantise)
