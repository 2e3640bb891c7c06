"""Tiny models in the file formats and names of other tools, with the features those tools compute from them.

Made with: Python 3.11, torch 2.15.0, torchvision 0.29.2, timm 1.0.31, safetensors 0.8.0, numpy 2.4.6, transformers 4.57.6 and (apart) 5.23.0,
           lightly 1.6.0
Run:       python tools/golden/exchange_fixtures.py tests/golden/exchange [names...]
           in an environment that has the library: transformers 4.x writes hf4_*, 5.x hf5_*, lightly writes lightly; without names all
           that the environment can make are made.

Every model: pictures of 16 px, patches of 4 (16 tokens and a class token), width 32, 2 blocks of 2 heads, hidden width 48, decoder 8 wide,
1 block of 2 heads, hidden 16. All numbers are drawn (torch.manual_seed by name), so that no bias and no norm is left at 0 or 1; the tables of
positions of masked autoencoders are the sine and cosine ones.
Beside each model: cls.npy and mean.npy [2, 32], the class token and the mean of the patch tokens after the final norm, of pixels.npy
[2, 3, 16, 16] (normalised already; nothing hidden); logits.npy [2, 3] where there is a head; pred.npy [2, 16, 48] where there is a decoder,
its output when nothing is hidden.
"""
import argparse
import os
import sys
import zlib
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

IMG, P, D, DEPTH, HEADS, MLP = 16, 4, 32, 2, 2, 48
DD, DDEPTH, DHEADS, DMLP = 8, 1, 2, 16
N = (IMG // P) ** 2
root = sys.argv[1]
wanted = set(sys.argv[2:])


def folder(name):
    path = os.path.join(root, name)
    os.makedirs(path, exist_ok=True)
    return path


def pixels():
    torch.manual_seed(1)
    x = torch.randn(2, 3, IMG, IMG)
    np.save(os.path.join(root, "pixels.npy"), x.numpy())
    return x


x = pixels()


def keep(name, **arrays):
    for k, a in arrays.items():
        np.save(os.path.join(folder(name), k + ".npy"), a.detach().float().numpy())


def sincos(dim):
    g, q = IMG // P, dim // 4
    omega = 1.0 / 10000 ** (np.arange(q) / q)
    r, c = np.meshgrid(np.arange(g), np.arange(g), indexing="ij")
    c, r = c.reshape(-1, 1) * omega, r.reshape(-1, 1) * omega
    table = np.concatenate([np.sin(c), np.cos(c), np.sin(r), np.cos(r)], 1)
    return torch.from_numpy(np.concatenate([np.zeros((1, dim)), table])[None].astype(np.float32))


def drawn(t, name):
    """Weights near 0, the scales of norms near 1."""
    v = torch.randn(t.shape) * (0.15 if t.dim() > 1 else 0.1)
    return 1 + v if t.dim() == 1 and name.endswith("weight") else v


def randomise(model, name):
    torch.manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for k, p in model.named_parameters():
            table = k.endswith(("pos_embed", "position_embeddings")) and not p.requires_grad
            p.copy_(sincos(p.shape[-1]) if table else drawn(p, k))
    return model.eval()


# ---- a forward pass of our own, in MAE's names, for the files that are written from published lists of keys ----
def shapes(decoder):
    s = {"cls_token": (1, 1, D), "pos_embed": (1, N + 1, D)}
    if decoder:
        s |= {"mask_token": (1, 1, DD), "decoder_pos_embed": (1, N + 1, DD)}
    s |= {"patch_embed.proj.weight": (D, 3, P, P), "patch_embed.proj.bias": (D,)}

    def blocks(prefix, n, d, h):
        for i in range(n):
            for part, o, c in (("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.fc1", h, d), ("mlp.fc2", d, h)):
                if part in ("attn.qkv", "mlp.fc1"):
                    norm = "norm1" if part == "attn.qkv" else "norm2"
                    s[f"{prefix}.{i}.{norm}.weight"] = s[f"{prefix}.{i}.{norm}.bias"] = (d,)
                s[f"{prefix}.{i}.{part}.weight"], s[f"{prefix}.{i}.{part}.bias"] = (o, c), (o,)

    blocks("blocks", DEPTH, D, MLP)
    s["norm.weight"] = s["norm.bias"] = (D,)
    if decoder:
        s |= {"decoder_embed.weight": (DD, D), "decoder_embed.bias": (DD,)}
        blocks("decoder_blocks", DDEPTH, DD, DMLP)
        s |= {"decoder_norm.weight": (DD,), "decoder_norm.bias": (DD,)}
        s |= {"decoder_pred.weight": (3 * P * P, DD), "decoder_pred.bias": (3 * P * P,)}
    return s


def draw(name, decoder):
    torch.manual_seed(zlib.crc32(name.encode()))
    return {k: sincos(s[-1]) if k.endswith("pos_embed") else drawn(torch.empty(s), k) for k, s in shapes(decoder).items()}


def run_block(w, p, t, heads):
    B, L, d = t.shape
    h = F.layer_norm(t, (d,), w[p + "norm1.weight"], w[p + "norm1.bias"], 1e-6)
    q, k, v = F.linear(h, w[p + "attn.qkv.weight"], w[p + "attn.qkv.bias"]).reshape(B, L, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    a = (q @ k.transpose(-1, -2) / (d // heads) ** 0.5).softmax(-1) @ v
    t = t + F.linear(a.transpose(1, 2).reshape(B, L, d), w[p + "attn.proj.weight"], w[p + "attn.proj.bias"])
    h = F.layer_norm(t, (d,), w[p + "norm2.weight"], w[p + "norm2.bias"], 1e-6)
    h = F.gelu(F.linear(h, w[p + "mlp.fc1.weight"], w[p + "mlp.fc1.bias"]))
    return t + F.linear(h, w[p + "mlp.fc2.weight"], w[p + "mlp.fc2.bias"])


def own_features(w):
    w = {k: v.double() for k, v in w.items()}
    t = F.conv2d(x.double(), w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=P).flatten(2).transpose(1, 2)
    t = torch.cat([w["cls_token"].expand(2, 1, D), t], 1) + w["pos_embed"]
    for i in range(DEPTH):
        t = run_block(w, f"blocks.{i}.", t, HEADS)
    t = F.layer_norm(t, (D,), w["norm.weight"], w["norm.bias"], 1e-6)
    out = {"cls": t[:, 0], "mean": t[:, 1:].mean(1)}
    if "decoder_pred.weight" in w:
        t = F.linear(t, w["decoder_embed.weight"], w["decoder_embed.bias"]) + w["decoder_pos_embed"]
        for i in range(DDEPTH):
            t = run_block(w, f"decoder_blocks.{i}.", t, DHEADS)
        t = F.layer_norm(t, (DD,), w["decoder_norm.weight"], w["decoder_norm.bias"], 1e-6)
        out["pred"] = F.linear(t, w["decoder_pred.weight"], w["decoder_pred.bias"])[:, 1:]
    return out


def official():
    ns = argparse.Namespace(model="mae_vit_base_patch16", input_size=16, mask_ratio=0.75, norm_pix_loss=True, blr=1.5e-4, batch_size=64,
                            data_path="/data/imagenet", resume="", device="cuda")
    w = draw("official_full", True)
    # as main_pretrain.py saves it, without the optimiser's size: one moment is kept
    opt = {"state": {0: {"step": 7, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.95), "params": [0, 1]}]}
    torch.save({"model": w, "optimizer": opt, "epoch": 3, "scaler": {"scale": 65536.0, "_growth_tracker": 11}, "args": ns},
               folder("mae_full") + "/mae_full.pth")
    keep("mae_full", **own_features(w))
    w = draw("official_encoder", False)
    torch.save({"model": w}, folder("mae_encoder") + "/mae_encoder.pth", _use_new_zipfile_serialization=False)  # as the released ones are
    keep("mae_encoder", **own_features(w))


def mm_name(k):
    decoder = k.startswith(("decoder", "mask_token"))
    k = {"norm.weight": "ln1.weight", "norm.bias": "ln1.bias", "decoder_norm.weight": "ln1.weight", "decoder_norm.bias": "ln1.bias"}.get(k, k)
    k = k.replace("norm1.", "ln1.").replace("norm2.", "ln2.").replace("mlp.fc1", "ffn.layers.0.0").replace("mlp.fc2", "ffn.layers.1")
    k = k.replace("patch_embed.proj.", "patch_embed.projection.")
    if not decoder and k.startswith("blocks."):
        k = k.replace("blocks.", "layers.", 1)
    return ("neck." if decoder else "backbone.") + k


def mmpretrain():
    w = draw("mmpretrain", True)
    sd = {"data_preprocessor.mean": torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1),
          "data_preprocessor.std": torch.tensor([58.395, 57.12, 57.375]).view(-1, 1, 1)}
    sd |= {mm_name(k): v for k, v in w.items()}
    meta = {"epoch": 2, "iter": 20, "cfg": "model = dict(type='MAE')", "seed": 0, "mmengine_version": "0.10.4", "dataset_meta": {"classes": ("a", "b")}}
    torch.save({"meta": meta, "state_dict": sd, "message_hub": {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}},
               folder("mmpretrain") + "/epoch_2.pth")
    keep("mmpretrain", **own_features(w))


def solo():
    w = draw("solo", True)
    dec = lambda k: k.startswith(("decoder", "mask_token"))
    sd = {("decoder." if dec(k) else "backbone.") + k: v for k, v in w.items()}
    sd |= {"classifier.weight": drawn(torch.empty(3, D), "x.weight"), "classifier.bias": drawn(torch.empty(3), "x.bias")}
    torch.save({"epoch": 1, "global_step": 40, "pytorch-lightning_version": "2.1.2", "state_dict": sd,
                "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 2, "completed": 1}}}},
                "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": None, "best_model_path": "", "current_score": torch.tensor(0.5)}},
                "optimizer_states": [], "lr_schedulers": []}, folder("solo_learn") + "/mae-cifar10-ep=1.ckpt")
    f = own_features(w)
    f["logits"] = F.linear(f["cls"], sd["classifier.weight"].double(), sd["classifier.bias"].double())
    del f["pred"]  # its decoder's norms have another epsilon
    keep("solo_learn", **f)


# ---- the libraries ----
def timm_models():
    import timm
    from timm.models.vision_transformer import VisionTransformer
    args = dict(img_size=IMG, patch_size=P, embed_dim=D, depth=DEPTH, num_heads=HEADS, mlp_ratio=MLP / D)
    for name, pool in (("timm_pth", "token"), ("timm_avg", "avg")):
        m = randomise(VisionTransformer(**args, num_classes=3, global_pool=pool), name)
        torch.save(m.state_dict(), folder(name) + "/model.pth")
        t = m.forward_features(x)
        f = {"logits": m(x)}
        # with the mean as its pool timm has no norm of all tokens but one of the mean: fc_norm
        f |= {"cls": t[:, 0], "mean": t[:, 1:].mean(1)} if pool == "token" else {"mean": m.forward_head(t, pre_logits=True)}
        keep(name, **f)
    m = timm.create_model("vit_tiny_patch16_224", **args, num_classes=3)
    m = randomise(m, "timm_folder")
    timm.models.save_for_hf(m, folder("timm_folder"), safe_serialization=True, model_args=args)
    t = m.forward_features(x)
    keep("timm_folder", cls=t[:, 0], mean=t[:, 1:].mean(1), logits=m(x))


def torchvision_model():
    from torchvision.models import VisionTransformer
    m = randomise(VisionTransformer(IMG, P, DEPTH, HEADS, D, MLP, num_classes=3), "torchvision")
    torch.save(m.state_dict(), folder("torchvision") + "/vit.pth")
    t = m.encoder(torch.cat([m.class_token.expand(2, -1, -1), m._process_input(x)], 1))
    keep("torchvision", cls=t[:, 0], mean=t[:, 1:].mean(1), logits=m(x))


def transformers_models():
    import transformers as tf
    v = "hf" + tf.__version__.split(".")[0]
    both = dict(hidden_size=D, num_hidden_layers=DEPTH, num_attention_heads=HEADS, intermediate_size=MLP, image_size=IMG, patch_size=P)
    eps = {} if v == "hf4" else {"layer_norm_eps": 1e-6}  # 1e-12 is the library's default
    c = tf.ViTMAEConfig(**both, **eps, decoder_hidden_size=DD, decoder_num_hidden_layers=DDEPTH, decoder_num_attention_heads=DHEADS,
                        decoder_intermediate_size=DMLP, norm_pix_loss=True, attn_implementation="eager")
    m = randomise(tf.ViTMAEForPreTraining(c), v + "_mae")
    m.save_pretrained(folder(v + "_mae"))
    kinds = [v + "_mae"]
    if v == "hf5":  # the names of its modules, not those of 4.x that it writes otherwise
        m.save_pretrained(folder("hf5_modules"), save_original_format=False)
        kinds.append("hf5_modules")
    m.config.mask_ratio = m.vit.embeddings.config.mask_ratio = 0.0
    noise = torch.arange(N).float().expand(2, N) / N  # the order stays
    t = m.vit(x, noise=noise).last_hidden_state
    for kind in kinds:
        keep(kind, cls=t[:, 0], mean=t[:, 1:].mean(1), pred=m(x, noise=noise).logits)
    c = tf.ViTConfig(**both, **eps, num_labels=3, id2label={0: "cat", 1: "dog", 2: "owl"}, label2id={"cat": 0, "dog": 1, "owl": 2},
                     attn_implementation="eager")
    m = randomise(tf.ViTForImageClassification(c), v + "_vit")
    m.save_pretrained(folder(v + "_vit"))
    tf.ViTImageProcessor(size={"height": IMG, "width": IMG}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
                         resample=3).save_pretrained(folder(v + "_vit"))
    t = m.vit(x).last_hidden_state
    keep(v + "_vit", cls=t[:, 0], mean=t[:, 1:].mean(1), logits=m(x).logits)
    if v == "hf4":
        m.save_pretrained(folder("hf4_shards"), max_shard_size="40KB")
        keep("hf4_shards", cls=t[:, 0], mean=t[:, 1:].mean(1), logits=m(x).logits)


def lightly_model():
    from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
    from timm.models.vision_transformer import VisionTransformer

    class MAE(torch.nn.Module):
        def __init__(self):
            super().__init__()
            vit = VisionTransformer(img_size=IMG, patch_size=P, embed_dim=D, depth=DEPTH, num_heads=HEADS, mlp_ratio=MLP / D, num_classes=0)
            self.backbone = MaskedVisionTransformerTIMM(vit=vit)
            self.decoder = MAEDecoderTIMM(num_patches=N, patch_size=P, embed_dim=D, decoder_embed_dim=DD, decoder_depth=DDEPTH,
                                          decoder_num_heads=DHEADS, mlp_ratio=DMLP / DD)

    m = randomise(MAE(), "lightly")
    torch.save(m.state_dict(), folder("lightly") + "/model.pt")
    t = m.backbone.encode(x)
    d = m.decoder
    keep("lightly", cls=t[:, 0], mean=t[:, 1:].mean(1), pred=d.predict(d.decode(d.embed(t)))[:, 1:])


def can(*modules):
    from importlib.util import find_spec
    return all(find_spec(m) for m in modules)


jobs = {"own": (official, mmpretrain, solo), "timm": (timm_models,), "torchvision": (torchvision_model,),
        "transformers": (transformers_models,), "lightly": (lightly_model,)}
for name, functions in jobs.items():
    if wanted and name not in wanted or not wanted and name != "own" and not can(name):
        continue
    for f in functions:
        f()
    print(name, "done")
