"""Looks at what `ehm export --format onnx` wrote as a stranger would: with onnx's own checker, and through onnxruntime with nothing but what stands in the file.

usage: check_onnx.py FOLDER [--table TABLE.tsv]

FOLDER holds pics/ (as ehm data --export wrote them) or pixels.npy [n,H,W,C], mean.npy and cls.npy (ehm embed of them, with their tables), one or more encoder*.onnx, and
may hold classifiers ft_*/classifier.onnx with ft_*/labels.tsv (ehm predict --top 1000 of the same pictures).

Each file must pass onnx.checker with full shape inference, name its inputs, outputs, mean and std, and give the features (probabilities) of ehm within 1e-4: a file for one
picture one by one, a file with a free batch in batches of 1, 5 and all. Prints a line for each: file, what ran it, what was compared, the largest difference.
"""
import argparse
import glob
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from PIL import Image

LIMIT = 1e-4
args = argparse.ArgumentParser()
args.add_argument("folder")
args.add_argument("--table")
args = args.parse_args()
top = args.folder
name = f"onnxruntime {onnxruntime.__version__}"
rows = []


def row(what, compared, difference):
    rows.append((what, name, compared, difference))
    print(f"{what:<34} {name:<24} {compared:<28} {difference:.2e}", flush=True)


def need(ok, *what):
    if not ok:
        raise SystemExit(" ".join(str(w) for w in what))


def table(path):
    return [line.split("\t") for line in open(path).read().splitlines()[1:]]


files = [v[0] for v in table(os.path.join(top, "mean.tsv"))]


def read(f):
    for p in (f, os.path.join(top, "pics", f), os.path.join(top, "pics", "images", f)):
        if os.path.exists(p):
            v = np.load(p) if p.endswith(".npy") else np.array(Image.open(p))
            return v if v.ndim == 3 else v[:, :, None]
    raise SystemExit(f"no picture {f}")


raw = np.load(os.path.join(top, "pixels.npy"))[:len(files)] if os.path.exists(os.path.join(top, "pixels.npy")) else np.stack([read(f) for f in files])


def worst(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max()) if a.shape == b.shape and np.isfinite(a).all() else float("inf")


def open_checked(path, outputs):
    """The session and its pixels; everything that can be wrong without running it is looked at first."""
    m = onnx.load(path)
    onnx.checker.check_model(path, full_check=True)
    props = {p.key: p.value for p in m.metadata_props}
    need(len(props) == len(m.metadata_props), path, "repeats a key of its metadata")
    need(m.producer_name == "ehm" and m.producer_version == props["ehm_version"], path, "does not say who made it")
    need(len({n.name for n in m.graph.node}) == len(m.graph.node), path, "has nodes of one name")
    used = {i for n in m.graph.node for i in n.input}
    left = [t.name for t in m.graph.initializer if t.name not in used]
    need(not left, path, "has numbers that no node takes:", left)
    # the shapes that inference finds are those that the file states
    stated = {o.name: [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in m.graph.output}
    found = onnx.shape_inference.infer_shapes(m, check_type=True, strict_mode=True, data_prop=True)
    for o in found.graph.output:
        need(stated[o.name] == [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim], path, o.name, "is said to have another shape than it has")
    s = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    need([o.name for o in s.get_outputs()] == outputs, path, "has the outputs", [o.name for o in s.get_outputs()], "and not", outputs)
    inputs = s.get_inputs()
    need(len(inputs) == 1 and inputs[0].name == "pixel_values", path, "has other inputs")
    size = [int(props[k]) for k in ("channels", "img_h", "img_w")]
    need(inputs[0].shape[1:] == size and raw.shape[1:] == (size[1], size[2], size[0]), path, "takes", inputs[0].shape, "the pictures are", raw.shape)
    for k in ("patch_size", "layer_norm_eps", "fit"):
        need(k in props, path, "does not state", k)
    mean, std = np.array(json.loads(props["mean"])), np.array(json.loads(props["std"]))
    pixels = ((raw / 255.0 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    return s, pixels, props, m.opset_import[0].version


def run(s, outputs, pixels, batch):
    parts = [s.run(outputs, {"pixel_values": pixels[i:i + batch]}) for i in range(0, len(pixels), batch)]
    return [np.concatenate(p) for p in zip(*parts)]


def batches(s):
    return (1, 5, len(raw)) if s.get_inputs()[0].shape[0] == "batch" else (1,)


want = {k: np.load(os.path.join(top, k + ".npy")) for k in ("mean", "cls")}
features = ["last_hidden_state", "pooled_cls", "pooled_mean"]
paths = sorted(glob.glob(os.path.join(top, "encoder*.onnx")))
need(paths, top, "holds no encoder*.onnx")
for path in paths:
    s, pixels, props, opset = open_checked(path, features)
    for batch in batches(s):
        tokens, cls, mean = run(s, features, pixels, batch)
        d = max(worst(cls, want["cls"]), worst(mean, want["mean"]), worst(tokens[:, 0], want["cls"]), worst(tokens[:, 1:].mean(1), want["mean"]))
        row(f"{os.path.basename(path)}, opset {opset}", f"all features, batch of {batch}", d)

for path in sorted(glob.glob(os.path.join(top, "ft_*", "classifier*.onnx"))):
    folder = os.path.basename(os.path.dirname(path))
    s, pixels, props, opset = open_checked(path, features + ["logits"])
    names = json.loads(props["classes"])
    lines = {v[0]: v for v in table(os.path.join(os.path.dirname(path), "labels.tsv"))}
    p = np.zeros((len(files), len(names)))
    for i, f in enumerate(files):
        for label, v in zip(lines[f][1::2], lines[f][2::2]):
            p[i, names.index(label)] = float(v)
    need(p.std(0).max() >= 0.01, path, "says the same of every picture, which would prove nothing")
    for batch in batches(s):
        logits = run(s, ["logits"], pixels, batch)[0].astype(np.float64)
        e = np.exp(logits - logits.max(1, keepdims=True))
        row(f"{folder}/classifier, opset {opset}", f"probabilities, batch of {batch}", worst(e / e.sum(1, keepdims=True), p))

if args.table:
    with open(args.table, "a") as f:
        for r in rows:
            f.write("\t".join((*r[:3], f"{r[3]:.2e}")) + "\n")
bad = [r for r in rows if not r[3] <= LIMIT]
if bad:
    sys.exit(f"{len(bad)} of {len(rows)} comparisons differ by more than {LIMIT:g}, first: {bad[0][0]}, {bad[0][2]}")
