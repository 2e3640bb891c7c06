"""A masked autoencoder in plain PyTorch functions, written from the published description (He et al. 2022) and the names of its state dict.

Nothing of timm or transformers is used, so that it can judge both them and us.
"""
import torch
import torch.nn.functional as F


def layer_norm(x, w, name):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-6)


def linear(x, w, name):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def block(x, w, name, heads):
    b, n, d = x.shape
    q, k, v = linear(layer_norm(x, w, name + ".norm1"), w, name + ".attn.qkv").reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    a = (q @ k.transpose(-1, -2) * (d // heads) ** -0.5).softmax(-1)
    x = x + linear((a @ v).transpose(1, 2).reshape(b, n, d), w, name + ".attn.proj")
    return x + linear(F.gelu(linear(layer_norm(x, w, name + ".norm2"), w, name + ".mlp.fc1")), w, name + ".mlp.fc2")


def depth_of(w, prefix):
    return 1 + max(int(k.split(".")[1]) for k in w if k.startswith(prefix + "."))


def patchify(x, p):
    b, c, h, wd = x.shape
    return x.reshape(b, c, h // p, p, wd // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, (h // p) * (wd // p), p * p * c)


def encode(x, w, heads, keep=None):
    """x [B,C,H,W] normalised; keep [B,K] patch ids in the order the encoder sees, or None for all. Tokens after the final norm."""
    p = w["patch_embed.proj.weight"].shape[-1]
    t = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=p).flatten(2).transpose(1, 2) + w["pos_embed"][:, 1:]
    if keep is not None:
        t = t.gather(1, keep[:, :, None].expand(-1, -1, t.shape[-1]))
    t = torch.cat([(w["cls_token"] + w["pos_embed"][:, :1]).expand(len(t), -1, -1), t], 1)
    for i in range(depth_of(w, "blocks")):
        t = block(t, w, f"blocks.{i}", heads)
    return layer_norm(t, w, "norm")


def decode(latent, w, heads, ids_restore):
    x = linear(latent, w, "decoder_embed")
    b, n = ids_restore.shape
    t = torch.cat([x[:, 1:], w["mask_token"].expand(b, n + 1 - x.shape[1], -1)], 1)
    t = t.gather(1, ids_restore[:, :, None].expand(-1, -1, t.shape[-1]))
    t = torch.cat([x[:, :1], t], 1) + w["decoder_pos_embed"]
    for i in range(depth_of(w, "decoder_blocks")):
        t = block(t, w, f"decoder_blocks.{i}", heads)
    return linear(layer_norm(t, w, "decoder_norm"), w, "decoder_pred")[:, 1:]


def loss(pred, x, mask, p, norm_pix):
    target = patchify(x, p)
    if norm_pix:
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
    e = ((pred - target) ** 2).mean(-1)
    return (e * mask).sum() / mask.sum()
