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
base_tokens=${BASE_TOKENS:-12e6}
cloud_tokens=${CLOUD_TOKENS:-8e6}
device_tokens=${DEVICE_TOKENS:-5e6}
mkdir -p "$work"
. "$here/env.sh"

write() {
    [ -s "$4" ] && return
    cargo run --quiet --release --manifest-path "$root/Cargo.toml" -p causeway-skills --example write -- \
        --split "$1" --items "$2" --seed "$3" --out "$4"
}
write train 600000 1 "$work/train.jsonl"
write test 4000 1 "$work/test.jsonl"

[ -s "$work/tokenizer/tokenizer.json" ] ||
    "$python" "$here/tokenizer.py" "$work/train.jsonl" "$work/tokenizer" --vocab 3072

train() {
    local name=$1
    shift
    [ -e "$work/$name/finished" ] && return
    "$python" -m torch.distributed.run --standalone --nproc-per-node "$processes" "$here/train.py" "$@" \
        --data "$work/train.jsonl" --tokenizer "$work/tokenizer" --out "$work/$name" \
        --threads 1 --step-micros 4 --resume
    touch "$work/$name/finished"
}
# A dense network learns the language cheaply, on a learning rate that stays high ...
train base device --tokens "$base_tokens" --decay 0.0001 --quantise 0
# ... becomes the start of all experts ...
train cloud cloud --tokens "$cloud_tokens" --initial "$work/base/last.pt" --seed 2
# ... and is then finished under the guidance of the experts' model.
train device device --tokens "$device_tokens" --initial "$work/base/last.pt" --seed 3 --teacher "$work/cloud/last.pt"

for model in cloud device; do
    "$python" "$here/export.py" "$work/$model/last.pt" --tokenizer "$work/tokenizer" \
        --out "$root/deploy/models/$model" --name "causeway-$model"
done
for file in cloud cloud/causeway-cloud-q4_0.gguf device device/causeway-device-q4_0.gguf; do
    printf '\n%s\n' "$file"
    "$python" "$here/evaluate.py" "$root/deploy/models/$file" --data "$work/test.jsonl" \
        --tokenizer "$work/tokenizer" --limit 4000
done
