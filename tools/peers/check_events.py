"""Reads runs' event files with TensorBoard itself. usage: check_events.py RUN [RESUMED]

RUN: scalars are held against metrics.jsonl, images against pictures/, histograms against model.safetensors; then TensorBoard's own server must list them all.
RESUMED: a run with the same settings that was stopped and gone on with: it must show the same scalars, images and histograms, times and rates aside.
"""
import glob
import json
import os
import sys
import urllib.parse
import urllib.request

import numpy as np
from tensorboard import program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def load(run):
    acc = EventAccumulator(run, size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    acc.Reload()
    return acc


def freeze(v):
    return tuple(v) if hasattr(v, "__len__") else v


def everything(acc):
    tags, out = acc.Tags(), {}
    for t in tags["scalars"]:
        out["scalar", t] = [(e.step, e.value) for e in acc.Scalars(t)]
    for t in tags["images"]:
        out["image", t] = [(e.step, e.width, e.height, e.encoded_image_string) for e in acc.Images(t)]
    for t in tags["histograms"]:
        out["histogram", t] = [(e.step, tuple(freeze(v) for v in vars(e.histogram_value).values())) for e in acc.Histograms(t)]
    return out


def tensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
        data = f.read()
    return {k: np.frombuffer(data[v["data_offsets"][0] : v["data_offsets"][1]], "<f4").reshape(v["shape"]) for k, v in head.items() if k != "__metadata__" and v["dtype"] == "F32"}


def check_scalars(run, acc):
    lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    n = 0
    for tag, key in (("train/loss", "loss"), ("train/lr", "lr"), ("train/grad_norm", "grad_norm")):
        want = [(m["step"], m[key]) for m in lines if key in m and "loss" in m]  # a look at the fixed pictures has a line of its own
        got = [(e.step, e.value) for e in acc.Scalars(tag)]
        if [s for s, _ in got] != [s for s, _ in want] or any(abs(a - b) > 1e-6 * abs(b) for (_, a), (_, b) in zip(got, want)):
            sys.exit(f"{tag} differs from metrics.jsonl")
        n += len(got)
    for m in lines:
        for name, value in m.get("watch", {}).items():
            if not any(e.step == m["step"] and abs(e.value - value) <= 1e-6 * abs(value) for e in acc.Scalars(f"watch/{name}")):
                sys.exit(f"watch/{name} differs from metrics.jsonl at step {m['step']}")
            n += 1
    return n


def check_images(run, acc):
    seen = set()
    for tag in acc.Tags()["images"]:
        for e in acc.Images(tag):
            path = f"{run}/pictures/{e.step:08d}_{tag.split('/')[1]}.png"
            png = open(path, "rb").read()
            if png != e.encoded_image_string or (e.width, e.height) != tuple(int.from_bytes(png[i : i + 4], "big") for i in (16, 20)):
                sys.exit(f"{tag} at step {e.step} is not {path}")
            seen.add(os.path.basename(path))
    files = {os.path.basename(p) for p in glob.glob(f"{run}/pictures/[0-9]*.png")}
    if seen != files:
        sys.exit(f"not in the event file: {sorted(files - seen)}")
    return len(seen)


def check_histograms(run, acc):
    """Those of the last step against the finished weights, as NumPy counts them."""
    weights, n = tensors(f"{run}/model.safetensors"), 0
    last = max(e.step for e in acc.Scalars("train/loss"))
    tags = [t for t in acc.Tags()["histograms"] if t.startswith("weights/")]
    for tag in tags:
        part = tag.split("/")[1]
        v = np.concatenate([w.ravel() for k, w in weights.items() if (k.startswith(part + ".")) and k.endswith("weight") and w.ndim > 1]).astype(np.float64)
        e = [e for e in acc.Histograms(tag) if e.step == last]
        if not e:
            sys.exit(f"{tag}: none at the last step {last}")
        h = e[-1].histogram_value
        count, edge = np.histogram(v, bins=30)
        if not (h.num == v.size and h.min == v.min() and h.max == v.max() and abs(h.sum - v.sum()) <= 1e-9 * np.abs(v).sum() and abs(h.sum_squares - (v * v).sum()) <= 1e-9 * (v * v).sum()):
            sys.exit(f"{tag}: {h} of {v.size} numbers, {v.min()} .. {v.max()}")
        if list(count) != list(h.bucket) or not np.allclose(edge[1:], h.bucket_limit, rtol=0, atol=1e-15):
            sys.exit(f"{tag}: counts differ from NumPy's")
        n += 1
    gradients = {t.split("/")[1] for t in acc.Tags()["histograms"] if t.startswith("gradients/")}
    if n < 5 or gradients != {t.split("/")[1] for t in tags}:
        sys.exit(f"histograms: {acc.Tags()['histograms']}")
    return len(acc.Tags()["histograms"])


def check_server(run, all_of):
    """What the pages of TensorBoard ask its server for."""
    tb = program.TensorBoard()
    tb.configure(argv=[None, "--logdir", run, "--port", "0", "--load_fast", "false"])
    url = tb.launch()
    ask = lambda path, **q: json.loads(urllib.request.urlopen(f"{url}data/plugin/{path}?{urllib.parse.urlencode(q)}", timeout=60).read())
    for kind, plugin in (("scalar", "scalars"), ("image", "images"), ("histogram", "histograms")):
        want, have = {t for k, t in all_of if k == kind}, set()
        for _ in range(60):
            have = set(next(iter(ask(plugin + "/tags").values()), {}))
            if have == want:
                break
            __import__("time").sleep(0.5)
        if have != want:
            sys.exit(f"TensorBoard's {plugin} page lacks {sorted(want - have)}")
    tag = "weights/blocks.0.attn"
    shown = ask("histograms/histograms", run=".", tag=tag)
    last = shown[-1]
    if last[1] != all_of["histogram", tag][-1][0] or abs(sum(b[2] for b in last[2]) - all_of["histogram", tag][-1][1][2]) > 1e-6:
        sys.exit(f"TensorBoard's histograms page shows {last[:2]} of {tag}")
    picture = next(t for k, t in all_of if k == "image")
    first = ask("images/images", run=".", tag=picture, sample=0)
    blob = urllib.request.urlopen(f"{url}data/plugin/images/individualImage?{first[-1]['query']}", timeout=60).read()
    if blob != all_of["image", picture][-1][3]:
        sys.exit(f"TensorBoard's images page shows another {picture}")
    return url


run = sys.argv[1]
acc = load(run)
all_of = everything(acc)
n_scalars, n_images, n_histograms = check_scalars(run, acc), check_images(run, acc), check_histograms(run, acc)
check_server(run, all_of)
print(f"TensorBoard reads and shows {len(acc.Tags()['scalars'])} scalars ({n_scalars} values held against metrics.jsonl), {n_images} images, {n_histograms} histograms")
if len(sys.argv) > 2:
    other = everything(load(sys.argv[2]))
    # Written while the clock was looked at.
    timed = lambda key: key[0] == "scalar" and key[1].startswith("time/")
    a, b = {k: v for k, v in all_of.items() if not timed(k)}, {k: v for k, v in other.items() if not timed(k)}
    bad = sorted(f"{k[0]} {k[1]}" for k in a.keys() | b.keys() if a.get(k) != b.get(k))
    if bad or len(glob.glob(f"{sys.argv[2]}/events.out.tfevents.*")) < 2:
        sys.exit(f"the resumed run shows others: {bad[:8]}, {len(bad)} in all")
    print(f"the same of the run that was stopped and resumed ({len(glob.glob(f'{sys.argv[2]}/events.out.tfevents.*'))} event files): {len(a)} tags, to the bit")
