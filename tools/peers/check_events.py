"""Reads a run's event file with TensorBoard itself and holds it against metrics.jsonl. usage: check_events.py RUN"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = sys.argv[1]
acc = EventAccumulator(run)
acc.Reload()
tags = acc.Tags()["scalars"]
loss = {e.step: e.value for t in tags if t.endswith("loss") for e in acc.Scalars(t)}
lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
lines = [m for m in lines if "loss" in m]  # a look at the fixed pictures has a line of its own
bad = [m["step"] for m in lines if m["step"] in loss and abs(loss[m["step"]] - m["loss"]) > 1e-5 * abs(m["loss"])]
print(f"TensorBoard reads {len(tags)} tags; {len(loss)} loss points")
if not loss or bad:
    sys.exit(f"no loss in the event file, or it differs from metrics.jsonl at steps {bad[:5]}")
