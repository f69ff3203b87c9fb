#!/usr/bin/env bash
# A few minutes that prove the whole road of training: data, tokenizer, both models, resuming, distilling,
# exporting, and reading the files back with other software. The models it makes are of no use.
#
#   deploy/models/train/smoke.sh [WORK_FOLDER]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${1:-$root/deploy/models/work/smoke}
python=${PYTHON:-python3}
threads=${THREADS:-2}
mkdir -p "$work"
. "$here/env.sh"

step() { printf '\n== %s\n' "$*"; }
write() {
    cargo run --quiet --release --manifest-path "$root/Cargo.toml" -p causeway-skills --example write -- "$@"
}

step data
write --split train --items 8000 --seed 1 --out "$work/train.jsonl"
write --drills --items 1000 --seed 1 --out "$work/drills.jsonl"
write --split test --items 200 --seed 1 --out "$work/test.jsonl"

step tokenizer
"$python" "$here/tokenizer.py" "$work/train.jsonl" "$work/tokenizer" --vocab 3072

run() {
    "$python" "$here/train.py" "$@" --data "$work/train.jsonl" --drills "$work/drills.jsonl" --tokenizer "$work/tokenizer" \
        --threads "$threads" --step-micros 2
}

rm -rf "$work/cloud" "$work/straight" "$work/device"
step "cloud, in one go"
run smoke-cloud --out "$work/straight" --tokens 120000

step "cloud, stopped half-way and resumed: the same weights"
run smoke-cloud --out "$work/cloud" --tokens 120000 --stop-after 60000
run smoke-cloud --out "$work/cloud" --tokens 120000 --resume
"$python" - "$work/straight/last.pt" "$work/cloud/last.pt" <<'CHECK'
import sys, torch
one, other = (torch.load(path, weights_only=True)["masters"] for path in sys.argv[1:])
apart = [name for name in one if not torch.equal(one[name], other[name])]
sys.exit(f"a resumed run gave other weights: {', '.join(apart[:5])}" if apart or one.keys() != other.keys() else 0)
CHECK

step "device, distilled from it"
run smoke-device --out "$work/device" --tokens 60000 --teacher "$work/cloud/last.pt"

for model in cloud device; do
    step "export $model"
    "$python" "$here/export.py" "$work/$model/last.pt" --tokenizer "$work/tokenizer" \
        --out "$work/export/$model" --name "causeway-$model" --threads "$threads"
    "$python" "$here/evaluate.py" "$work/export/$model/causeway-$model-q4_0.gguf" --data "$work/test.jsonl" \
        --tokenizer "$work/tokenizer" --limit 60 --new-max 24 --threads "$threads"
done
step "smoke training passed"
