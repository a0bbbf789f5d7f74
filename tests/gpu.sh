#!/usr/bin/env bash
# What a machine with one NVIDIA GPU can show: the tests with the mark gpu (two minutes), then how fast steps are, and
# whether bfloat16 costs accuracy (four minutes). Run it from the repository's root, in an environment with the extra
# test. `tests/gpu.sh tests` and `tests/gpu.sh speed` run one of both parts.
set -u
part=${1:-all}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONWARNINGS=ignore
# As `zoo` sets it; the script below calls `zoo fit` within Python.
export DISABLE_ADDMM_CUDA_LT="${DISABLE_ADDMM_CUDA_LT-1}"
status=0
python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "torch sees no GPU here" >&2; exit 2; }

if [ "$part" != speed ]; then
  echo "== tests"
  # After a fault of CUDA every later test of the process fails, and only the first tracebacks say something.
  python3 -m pytest -q -m gpu --tb short --maxfail 5 -p no:cacheprovider tests/gpu || status=1
fi
[ "$part" = tests ] && exit $status

echo "== speed: zoo bench --accelerator gpu"
python3 -m zoo bench --accelerator gpu --rounds 3 || status=1
echo "== ten networks at once: zoo bench bagging --num_members 10 --accelerator gpu"
python3 -m zoo bench bagging --num_members 10 --accelerator gpu --rounds 2 || status=1

echo "== bfloat16 against single precision, ten networks each"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$folder" <<'PYTHON' || status=1
import contextlib, io, statistics, sys, time

from scipy.stats import t
from zoo.cli.verbs.trainer import fit

errors = {}
for precision in ("32-true", "bf16-mixed"):
    words = ["--config", "bagging", "--model.num_members", "10", "--model.bootstrap", "false"]
    words += ["--trainer.accelerator", "gpu", "--trainer.precision", precision, "--trainer.default_root_dir", sys.argv[1]]
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = fit(words)
    errors[precision] = [round(10_000 * (1 - metrics[f"test_acc_member_{k}"])) for k in range(10)]
    print(f"{precision}: {sorted(errors[precision])} errors, {time.perf_counter() - began:.1f} s")
one, other = errors.values()
difference = statistics.fmean(other) - statistics.fmean(one)
half = t.ppf(0.975, 18) * ((statistics.variance(one) + statistics.variance(other)) / 10) ** 0.5
print(f"bf16-mixed makes {difference:+.1f} errors more, 95 % interval {difference - half:+.1f} to {difference + half:+.1f}")
PYTHON
exit $status
