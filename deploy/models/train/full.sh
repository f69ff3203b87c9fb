#!/usr/bin/env bash
# The whole training, from the generator to the shipped files. Run it again after an interruption: every
# stage continues from its own checkpoint, and a finished stage is skipped.
#
#   deploy/models/train/full.sh [WORK_FOLDER]
#
# PROCESSES says how many processes share each step (one thread each).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${1:-$root/deploy/models/work/full}
python=${PYTHON:-python3}
processes=${PROCESSES:-2}
mkdir -p "$work"
. "$here/env.sh"

write() {
    local out=$1
    shift
    [ -s "$out" ] && return
    cargo run --quiet --release --manifest-path "$root/Cargo.toml" -p causeway-skills --example write -- \
        "$@" --seed 1 --out "$out.part"
    mv "$out.part" "$out"
}
write "$work/train.jsonl" --split train --items 600000
write "$work/drills.jsonl" --drills --items 250000
write "$work/test.jsonl" --split test --items 4000

[ -s "$work/tokenizer/tokenizer.json" ] ||
    "$python" "$here/tokenizer.py" "$work/train.jsonl" "$work/tokenizer" --vocab 3072

drills=(--drills "$work/drills.jsonl" --practice facts=2,arithmetic=2)
# train STAGE FOLDER SHAPE ARGUMENTS...
train() {
    local stage=$1 folder=$2
    shift 2
    [ -e "$work/$stage.finished" ] && return
    "$python" -m torch.distributed.run --standalone --nproc-per-node "$processes" "$here/train.py" "$@" \
        --data "$work/train.jsonl" --tokenizer "$work/tokenizer" --out "$work/$folder" --threads 1 --resume
    cp "$work/$folder/last.pt" "$work/$stage.pt"
    touch "$work/$stage.finished"
}
# A dense network learns the language cheaply, on a learning rate that stays high ...
train base base device --tokens 18e6 --decay 0.0001 --quantise 0 --step-micros 4
# ... practises what is learnt suddenly or not at all ...
train drilled drilled device --tokens 27e6 --initial "$work/base.pt" --seed 5 "${drills[@]}" \
    --warmup 0.02 --decay 0.0001 --quantise 0 --step-micros 4
# ... becomes the start of all experts ...
train cloud cloud cloud --tokens 8.5e6 --initial "$work/drilled.pt" --renew 0.1 --seed 5 "${drills[@]}" \
    --warmup 0.02 --decay 0.65 --step-micros 6
# ... and, as it was before the drills, is finished under the guidance of the experts' model.
train device device device --tokens 3e6 --initial "$work/base.pt" --seed 3 \
    --teacher "$work/cloud.pt" --warmup 0.02 --decay 0.8 --quantise 0.3 --step-micros 4

for model in cloud device; do
    "$python" "$here/export.py" "$work/$model.pt" --tokenizer "$work/tokenizer" \
        --out "$root/deploy/models/$model" --name "causeway-$model"
done
for file in cloud cloud/causeway-cloud-q4_0.gguf device device/causeway-device-q4_0.gguf; do
    printf '\n%s\n' "$file"
    "$python" "$here/evaluate.py" "$root/deploy/models/$file" --data "$work/test.jsonl" \
        --tokenizer "$work/tokenizer" --limit 4000
done
