"""Loads what `ehm export` wrote in the real libraries and compares features with what `ehm embed` wrote for the same pictures.

usage: check_exports.py FOLDER [--only mae,timm,hf,torchvision,onnx] [--table TABLE.tsv]

FOLDER holds run/, pics/ (as ehm data --export wrote them) or pixels.npy [n,H,W,C], mean.npy, cls.npy (with their tables) and what was exported, as far as it is there:

    mae.safetensors  timm/  timm.safetensors  timm_avg/  hf_mae/  hf_vit/  tv.safetensors  encoder.onnx  encoder_any.onnx

and, of a classifier in ft_cls/ (class token) or ft_mean/ (mean of patches), whose classes and probabilities of the same pictures stand in ft_*/labels.tsv:

    ft_*/mae.safetensors  ft_*/timm/  ft_*/hf/  ft_*/tv.safetensors  ft_*/classifier.onnx

Prints a line for each: format, library and version, what was compared, the largest difference; fails where that is more than 1e-4 (probabilities are printed with
six digits and judged at 1e-4 too), a weight is missing, or one is left over. With --table the lines go into a file too.
"""
import argparse
import json
import os
import sys
import warnings

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mae_torch

LIMIT = 1e-4
warnings.filterwarnings("ignore")
torch.set_grad_enabled(False)
args = argparse.ArgumentParser()
args.add_argument("folder")
args.add_argument("--only", default="mae,timm,hf,torchvision,onnx")
args.add_argument("--table")
args = args.parse_args()
only = args.only.split(",")
top = args.folder
rows = []


def row(what, library, compared, difference):
    rows.append((what, library, compared, difference))
    print(f"{what:<34} {library:<24} {compared:<28} {difference:.2e}", flush=True)


def at(*parts):
    return os.path.join(top, *parts)


def worst(a, b):
    """A shape that differs, or a number that is none, is no agreement."""
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    return float((a - b).abs().max()) if a.shape == b.shape and torch.isfinite(a).all() else float("inf")


def table(path):
    lines = [line.split("\t") for line in open(path).read().splitlines()[1:]]
    return [v[0] for v in lines], lines


with safe_open(at("run/model.safetensors"), "pt") as f:
    meta = f.metadata()
size = (int(meta["img_h"]), int(meta["img_w"]))
channels, patch, heads = int(meta["channels"]), int(meta["patch_size"]), int(meta["num_heads"])
square = size[0] == size[1]
want = {k: torch.from_numpy(np.load(at(k + ".npy"))) for k in ("mean", "cls")}
files, _ = table(at("mean.tsv"))


def numbers(text):
    return torch.tensor([float(v) for v in text.split(",")], dtype=torch.float64).view(1, -1, 1, 1)


def read(name):
    for p in (name, at("pics", name), at("pics", "images", name)):
        if os.path.exists(p):
            v = np.load(p) if p.endswith(".npy") else np.array(Image.open(p))
            return torch.from_numpy(v if v.ndim == 3 else v[:, :, None]).permute(2, 0, 1)
    raise SystemExit(f"no picture {name}")


if os.path.exists(at("pixels.npy")):
    raw = torch.from_numpy(np.load(at("pixels.npy"))).permute(0, 3, 1, 2)[:len(files)]
else:
    raw = torch.stack([read(f) for f in files])
raw01 = raw.double() / 255
x = ((raw01 - numbers(meta["mean"])) / numbers(meta["std"])).float()
assert x.shape[1:] == (channels, *size), (x.shape, channels, size)


def in_parts(model, pixels=x, n=32):
    return torch.cat([model(pixels[i:i + n]) for i in range(0, len(pixels), n)])


def tokens_row(what, library, tokens):
    row(what, library, "class token, mean of patches", max(worst(tokens[:, 0], want["cls"]), worst(tokens[:, 1:].mean(1), want["mean"])))


def probabilities(folder):
    """[pictures, classes] as ehm predict printed them, in the order of names."""
    _, lines = table(at(folder, "labels.tsv"))
    names = sorted(set(v for line in lines for v in line[1::2]))
    out = torch.zeros(len(lines), len(names))
    by_file = {line[0]: line for line in lines}
    for i, f in enumerate(files):
        line = by_file[f]
        for name, p in zip(line[1::2], line[2::2]):
            out[i, names.index(name)] = float(p)
    if float(out.std(0).max()) < 0.01:
        raise SystemExit(f"{folder}: the classifier says the same of every picture, which would prove nothing")
    return names, out


def logits_row(what, library, folder, logits, labels=None):
    names, p = probabilities(folder)
    if labels is not None and list(labels) != names:
        raise SystemExit(f"{what}: classes are {list(labels)}, expected {names}")
    row(what, library, "probabilities of classes", worst(torch.as_tensor(logits).softmax(-1), p))


# ---- MAE ----

if "mae" in only:
    w = load_file(at("mae.safetensors"))
    tokens_row("mae", "plain PyTorch MAE", in_parts(lambda v: mae_torch.encode(v, w, heads)))
    torch.manual_seed(0)
    noise = torch.rand(len(x), w["pos_embed"].shape[1] - 1)
    order = noise.argsort(1)
    n = order.shape[1] // 4
    mask = torch.ones_like(noise).scatter(1, order[:, :n], 0)
    pred = mae_torch.decode(mae_torch.encode(x, w, heads, order[:, :n]), w, int(meta["decoder_num_heads"]), order.argsort(1))
    value = float(mae_torch.loss(pred, x, mask, patch, meta["norm_pix_loss"] == "true"))
    own = load_file(at("run/model.safetensors"))
    row("mae", "plain PyTorch MAE", f"decoder, loss {value:.4f}", max(worst(w[k], own[k]) for k in own) if set(w) == set(own) and 0 < value < 3 else float("inf"))
    for folder in ("ft_cls", "ft_mean"):
        if os.path.exists(at(folder, "mae.safetensors")):
            w = load_file(at(folder, "mae.safetensors"))
            if folder == "ft_cls":
                f = mae_torch.encode(x, w, heads)[:, 0]
            else:
                w["norm.weight"], w["norm.bias"] = None, None  # not there: the mean is taken before it, as MAE's fine-tuning does
                real, mae_torch.layer_norm = mae_torch.layer_norm, lambda t, v, name: t if name == "norm" else real(t, v, name)
                f = mae_torch.encode(x, w, heads)[:, 1:].mean(1)
                mae_torch.layer_norm = real
                f = mae_torch.layer_norm(f, w, "fc_norm")
            logits_row(f"mae, classifier ({folder[3:]})", "plain PyTorch MAE", folder, mae_torch.linear(f, w, "head"))

# ---- timm ----

if "timm" in only:
    import timm

    name = f"timm {timm.__version__}"

    def timm_strict(folder, path):
        c = json.load(open(at(folder, "config.json")))
        a = dict(c["model_args"], img_size=tuple(c["model_args"]["img_size"]))
        return timm.create_model(c["architecture"], num_classes=c["num_classes"], checkpoint_path=path, **a).eval()

    m = timm.create_model("local-dir:" + os.path.abspath(at("timm")), pretrained=True).eval()
    tokens_row("timm, local-dir", name, in_parts(m.forward_features))
    row("timm, local-dir", name, "model(pixels)", worst(in_parts(m), want["cls"]))
    cfg = timm.data.resolve_data_config({}, model=m)
    right = cfg["input_size"] == (channels, *size) and np.allclose(cfg["mean"], numbers(meta["mean"]).view(-1)) and np.allclose(cfg["std"], numbers(meta["std"]).view(-1))
    row("timm, local-dir", name, "input size, mean, std", 0.0 if right else float("inf"))
    tokens_row("timm, checkpoint_path", name, in_parts(timm_strict("timm", at("timm/model.safetensors")).forward_features))
    tokens_row("timm, one file", name, in_parts(timm_strict("timm", at("timm.safetensors")).forward_features))
    row("timm, --global-pool avg", name, "model(pixels)", worst(in_parts(timm.create_model("local-dir:" + os.path.abspath(at("timm_avg")), pretrained=True).eval()), want["mean"]))
    for folder in ("ft_cls", "ft_mean"):
        if os.path.exists(at(folder, "timm")):
            m = timm.create_model("local-dir:" + os.path.abspath(at(folder, "timm")), pretrained=True).eval()
            logits_row(f"timm, classifier ({folder[3:]})", name, folder, in_parts(m), m.pretrained_cfg["label_names"])
            logits_row(f"timm, strict classifier ({folder[3:]})", name, folder, in_parts(timm_strict(f"{folder}/timm", at(folder, "timm/model.safetensors"))))

# ---- transformers ----

if "hf" in only:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    name = f"transformers {transformers.__version__}"

    def load_hf(kind, folder, **more):
        m, info = getattr(transformers, kind).from_pretrained(at(folder), output_loading_info=True, **more)
        bad = {k: list(v) for k, v in info.items() if k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs") and v}
        if bad:
            raise SystemExit(f"{name}, {kind} from {folder}: {bad}")
        assert m.config.layer_norm_eps == 1e-6
        return m.eval()

    m = load_hf("ViTModel", "hf_vit", add_pooling_layer=False)
    tokens_row("hf, ViTModel", name, in_parts(lambda v: m(pixel_values=v).last_hidden_state))
    if os.path.exists(at("hf_mae")):
        m = load_hf("ViTMAEForPreTraining", "hf_mae")
        w = load_file(at("run/model.safetensors"))
        torch.manual_seed(0)
        noise = torch.rand(len(x), w["pos_embed"].shape[1] - 1)
        got = m(pixel_values=x, noise=noise)
        order = noise.argsort(1)
        n = int(order.shape[1] * (1 - m.config.mask_ratio))
        mask = torch.ones_like(noise).scatter(1, order[:, :n], 0)
        tokens = mae_torch.encode(x, w, heads, order[:, :n])
        pred = mae_torch.decode(tokens, w, int(meta["decoder_num_heads"]), order.argsort(1))
        value = mae_torch.loss(pred, x, mask, patch, meta["norm_pix_loss"] == "true")
        row("hf, ViTMAEForPreTraining", name, "decoder's output", worst(got.logits, pred))
        row("hf, ViTMAEForPreTraining", name, f"loss {float(value):.4f}", worst(got.loss, value))
        m.config.mask_ratio = 0.0
        out = m.vit(pixel_values=x, noise=torch.arange(noise.shape[1]).float().expand(len(x), -1))
        tokens_row("hf, ViTMAEForPreTraining", name, out.last_hidden_state)
    if channels == 3:
        for folder in [f for f in ("hf_vit", "hf_mae") if os.path.exists(at(f))]:
            processor = transformers.ViTImageProcessor.from_pretrained(at(folder))
            pictures = [Image.fromarray(v.permute(1, 2, 0).numpy()) for v in raw[:8]]
            row(f"hf, preprocessor ({folder})", name, "pixels", worst(processor(pictures, return_tensors="pt")["pixel_values"], x[:8]))
    if os.path.exists(at("ft_cls/hf")):
        m = load_hf("ViTForImageClassification", "ft_cls/hf")
        logits_row("hf, ViTForImageClassification", name, "ft_cls", in_parts(lambda v: m(pixel_values=v).logits), [m.config.id2label[i] for i in range(m.config.num_labels)])

# ---- torchvision ----

if "torchvision" in only and square:
    import torchvision

    name = f"torchvision {torchvision.__version__}"

    def load_tv(path, n_classes=0):
        m = torchvision.models.VisionTransformer(
            image_size=size[0], patch_size=patch, num_layers=int(meta["depth"]), num_heads=heads, hidden_dim=int(meta["embed_dim"]), mlp_dim=int(meta["mlp_dim"]),
            **(dict(num_classes=n_classes) if n_classes else {}))
        if not n_classes:
            m.heads = torch.nn.Identity()
        if channels != 3:
            m.conv_proj = torch.nn.Conv2d(channels, int(meta["embed_dim"]), patch, patch)
        m.load_state_dict(load_file(path), strict=True)
        return m.eval()

    m = load_tv(at("tv.safetensors"))
    row("torchvision", name, "class token", worst(in_parts(m), want["cls"]))

    def tv_tokens(v):
        t = m._process_input(v)
        return m.encoder(torch.cat([m.class_token.expand(len(t), -1, -1), t], 1))

    tokens_row("torchvision", name, in_parts(tv_tokens))
    if os.path.exists(at("ft_cls/tv.safetensors")):
        logits_row("torchvision, classifier", name, "ft_cls", in_parts(load_tv(at("ft_cls/tv.safetensors"), len(probabilities("ft_cls")[0]))))

# ---- ONNX ----

if "onnx" in only:
    import onnxruntime

    name = f"onnxruntime {onnxruntime.__version__}"

    def run_onnx(path, outputs, pixels, batch):
        s = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        parts = [s.run(outputs, {"pixel_values": pixels[i:i + batch].numpy()}) for i in range(0, len(pixels), batch)]
        return [torch.from_numpy(np.concatenate([p[k] for p in parts])) for k in range(len(outputs))]

    for path, batch in ((at("encoder.onnx"), 1), (at("encoder_any.onnx"), 7)):
        if not os.path.exists(path):
            continue
        what = "onnx" if batch == 1 else "onnx, --dynamic-batch"
        tokens, cls, mean = run_onnx(path, ["last_hidden_state", "pooled_cls", "pooled_mean"], x, batch)
        tokens_row(what, name, tokens)
        row(what, name, "pooled_cls, pooled_mean", max(worst(cls, want["cls"]), worst(mean, want["mean"])))
    for folder in ("ft_cls", "ft_mean"):
        if os.path.exists(at(folder, "classifier.onnx")):
            logits_row(f"onnx, classifier ({folder[3:]})", name, folder, run_onnx(at(folder, "classifier.onnx"), ["logits"], x, 1)[0])

if args.table:
    with open(args.table, "a") as f:
        for r in rows:
            f.write("\t".join((*r[:3], f"{r[3]:.2e}")) + "\n")
bad = [r for r in rows if not r[3] <= LIMIT]
if bad:
    sys.exit(f"{len(bad)} of {len(rows)} comparisons differ by more than {LIMIT:g}, first: {bad[0][0]}, {bad[0][1]}, {bad[0][2]}")
