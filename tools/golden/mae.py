"""Golden numbers of a masked autoencoder: forward, every gradient, ten AdamW steps, features, attention.

Made with: Python 3.11, torch 2.15.0, timm 1.0.31, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6
Run:       python tools/golden/mae.py tests/golden/mae

The model is written here on timm's Block, after the paper and its published conventions; before anything is stored it is held against
transformers' ViTMAEForPreTraining with the same weights, pictures and noise (square pictures: that class takes no others).
All arithmetic is in float64; weights and pictures are values that float32 holds exactly.
"""
import sys
from functools import partial
import numpy as np
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import Block
from torch import nn
from transformers import ViTMAEConfig, ViTMAEForPreTraining

torch.set_default_dtype(torch.float64)


def sincos(dim, gh, gw):
    q = dim // 4
    omega = 1.0 / 10000 ** (np.arange(q) / q)
    r, c = np.meshgrid(np.arange(gh), np.arange(gw), indexing="ij")
    c, r = c.reshape(-1, 1) * omega, r.reshape(-1, 1) * omega
    table = np.concatenate([np.sin(c), np.cos(c), np.sin(r), np.cos(r)], 1)
    return np.concatenate([np.zeros((1, dim)), table])[None].astype(np.float32)


class MAE(nn.Module):
    def __init__(self, h, w, p, c, dim, depth, heads, ddim, ddepth, dheads, norm_pix):
        super().__init__()
        self.h, self.w, self.p, self.c, self.norm_pix = h, w, p, c, norm_pix
        self.L = (h // p) * (w // p)
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.from_numpy(sincos(dim, h // p, w // p)).double(), requires_grad=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, ddim))
        self.decoder_pos_embed = nn.Parameter(torch.from_numpy(sincos(ddim, h // p, w // p)).double(), requires_grad=False)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(c, dim, p, p)
        self.blocks = nn.ModuleList([Block(dim, heads, 4, qkv_bias=True, norm_layer=norm) for _ in range(depth)])
        self.norm = norm(dim)
        self.decoder_embed = nn.Linear(dim, ddim)
        self.decoder_blocks = nn.ModuleList([Block(ddim, dheads, 4, qkv_bias=True, norm_layer=norm) for _ in range(ddepth)])
        self.decoder_norm = norm(ddim)
        self.decoder_pred = nn.Linear(ddim, p * p * c)

    def patchify(self, x):  # [B,C,H,W] -> [B,L,p*p*C], channel fastest
        B, p = x.shape[0], self.p
        x = x.reshape(B, self.c, self.h // p, p, self.w // p, p)
        return x.permute(0, 2, 4, 3, 5, 1).reshape(B, self.L, p * p * self.c)

    def embed(self, x):
        return self.patch_embed.proj(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]

    def forward(self, x, noise, n_keep):
        B, D = x.shape[0], self.pos_embed.shape[2]
        tokens = self.embed(x)
        order = torch.argsort(noise, dim=1, stable=True)
        restore = torch.argsort(order, dim=1)
        z = torch.gather(tokens, 1, order[:, :n_keep, None].expand(-1, -1, D))
        z = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(B, -1, -1), z], 1)
        for b in self.blocks:
            z = b(z)
        z = self.decoder_embed(self.norm(z))
        y = torch.cat([z[:, 1:], self.mask_token.expand(B, self.L - n_keep, -1)], 1)
        y = torch.gather(y, 1, restore[:, :, None].expand(-1, -1, y.shape[2]))
        y = torch.cat([z[:, :1], y], 1) + self.decoder_pos_embed
        for b in self.decoder_blocks:
            y = b(y)
        pred = self.decoder_pred(self.decoder_norm(y))[:, 1:]
        t = self.patchify(x)
        if self.norm_pix:
            t = (t - t.mean(-1, keepdim=True)) / (t.var(-1, keepdim=True) + 1e-6) ** 0.5
        mask = torch.ones(B, self.L)
        mask[:, :n_keep] = 0
        mask = torch.gather(mask, 1, restore)
        loss = (((pred - t) ** 2).mean(-1) * mask).sum() / mask.sum()
        return loss, pred

    def features(self, x):  # tokens after every block (first: embeddings), attention of every block, tokens after the final norm
        B = x.shape[0]
        z = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(B, -1, -1), self.embed(x)], 1)
        hidden, attn = [z], []
        for b in self.blocks:
            n = b.norm1(z)
            H = b.attn.num_heads
            qkv = b.attn.qkv(n).reshape(B, n.shape[1], 3, H, -1).permute(2, 0, 3, 1, 4)
            attn.append((qkv[0] @ qkv[1].transpose(-2, -1) * qkv[0].shape[-1] ** -0.5).softmax(-1))
            z = b(z)
            hidden.append(z)
        return hidden, attn, self.norm(z)


def hold_against_transformers(m, x, noise, n_keep, mask_ratio):
    cfg = ViTMAEConfig(hidden_size=m.pos_embed.shape[2], num_hidden_layers=len(m.blocks), num_attention_heads=m.blocks[0].attn.num_heads,
                       intermediate_size=4 * m.pos_embed.shape[2], image_size=m.h, patch_size=m.p, num_channels=m.c,
                       decoder_hidden_size=m.mask_token.shape[2], decoder_num_hidden_layers=len(m.decoder_blocks),
                       decoder_num_attention_heads=m.decoder_blocks[0].attn.num_heads, decoder_intermediate_size=4 * m.mask_token.shape[2],
                       layer_norm_eps=1e-6, mask_ratio=mask_ratio, norm_pix_loss=m.norm_pix)
    other, sd = ViTMAEForPreTraining(cfg).double().eval(), {}

    def block(ours, theirs):
        for k, v in ours.state_dict().items():
            k = k.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after").replace("attn.proj", "attention.o_proj")
            if "attn.qkv" in k:
                for n, part in zip("qkv", v.chunk(3)):
                    sd[theirs + k.replace("attn.qkv", f"attention.{n}_proj")] = part
            else:
                sd[theirs + k] = v

    sd["vit.embeddings.cls_token"], sd["vit.embeddings.position_embeddings"] = m.cls_token, m.pos_embed
    sd["vit.embeddings.patch_embeddings.projection.weight"] = m.patch_embed.proj.weight
    sd["vit.embeddings.patch_embeddings.projection.bias"] = m.patch_embed.proj.bias
    for i, b in enumerate(m.blocks):
        block(b, f"vit.layers.{i}.")
    for i, b in enumerate(m.decoder_blocks):
        block(b, f"decoder.decoder_layers.{i}.")
    sd["decoder.mask_token"], sd["decoder.decoder_pos_embed"] = m.mask_token, m.decoder_pos_embed
    for k in ("weight", "bias"):
        sd["vit.layernorm." + k] = getattr(m.norm, k)
        sd["decoder.decoder_norm." + k] = getattr(m.decoder_norm, k)
        sd["decoder.decoder_embed." + k] = getattr(m.decoder_embed, k)
        sd["decoder.decoder_pred." + k] = getattr(m.decoder_pred, k)
    other.load_state_dict({k: v.detach() for k, v in sd.items()}, strict=True)
    with torch.no_grad():
        out = other(x, noise=noise)
        loss, pred = m(x, noise, n_keep)
    dl, dp = abs(float(out.loss - loss)), float((out.logits - pred).abs().max())
    print(f"  against transformers: loss {float(loss):.12f}, difference {dl:.2e}; largest difference of a predicted value {dp:.2e}")
    assert dl < 1e-10 and dp < 1e-9


def run(out, name, h, w, p, c, dims, norm_pix, mask_ratio, clip, lr, n_pics, seed, check):
    torch.manual_seed(seed)
    m = MAE(h, w, p, c, *dims, norm_pix)
    with torch.no_grad():
        for k, t in m.named_parameters():
            if not t.requires_grad:
                continue
            std = 0.3 if t.ndim > 1 and "token" not in k else 0.2
            v = torch.randn_like(t) * std + (1 if "norm" in k and k.endswith("weight") else 0)
            t.copy_(v.float().double())
    n_keep = int(m.L * (1 - mask_ratio))
    u8 = torch.randint(0, 256, (n_pics, h, w, c), dtype=torch.uint8)
    mean = torch.tensor([0.45, 0.5, 0.4][:c]).float().double()
    std = torch.tensor([0.25, 0.3, 0.2][:c]).float().double()
    x = ((u8.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    noise = torch.rand(11, n_pics, m.L).float().double()
    print(name, "patches", m.L, "kept", n_keep)
    if check:
        hold_against_transformers(m, x, noise[0], n_keep, mask_ratio)
    if out is None:
        return
    weights = {k: v.detach().float().contiguous() for k, v in m.state_dict().items()}
    loss, pred = m(x, noise[0], n_keep)
    loss.backward()
    grads = {k: v.grad.float().contiguous() for k, v in m.named_parameters() if v.requires_grad}
    data = {"pixels": u8, "noise": noise.float(), "mean": mean, "std": std, "loss": loss.detach().reshape(1), "pred": pred.detach().float().contiguous()}
    with torch.no_grad():
        hidden, attn, z = m.features(x)
        data |= {"cls": z[:, 0].float().contiguous(), "mean_tokens": z[:, 1:].mean(1).float(), "hidden1": hidden[1].float().contiguous(),
                 "attention1": attn[1].float().contiguous()}
        assert torch.equal(hidden[-1], hidden[len(m.blocks)])
    decay = [t for k, t in m.named_parameters() if t.requires_grad and not (t.ndim == 1 or k.endswith(".bias"))]
    rest = [t for k, t in m.named_parameters() if t.requires_grad and (t.ndim == 1 or k.endswith(".bias"))]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for step in range(10):
        opt.zero_grad()
        loss, _ = m(x, noise[1 + step], n_keep)
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(decay + rest, clip)))
        opt.step()
        losses.append(float(loss))
    print("  losses", " ".join(f"{v:.6f}" for v in losses), "\n  norms ", " ".join(f"{v:.3f}" for v in norms), f"clip {clip}")
    data |= {"losses": torch.tensor(losses), "norms": torch.tensor(norms)}
    save_file(weights, f"{out}/{name}_weights.safetensors", metadata={"made_by": "tools/golden/mae.py"})
    save_file(grads, f"{out}/{name}_grads.safetensors")
    save_file(data, f"{out}/{name}_data.safetensors")


if __name__ == "__main__":
    out = sys.argv[1]
    run(None, "square", 16, 16, 4, 3, (16, 2, 2, 12, 2, 3), True, 0.75, 3.0, 1e-3, 3, 7, True)
    run(out, "rect", 16, 24, 4, 3, (16, 2, 2, 12, 2, 3), True, 0.75, 3.0, 2e-3, 3, 1, False)
    run(out, "grey", 12, 12, 4, 1, (24, 2, 3, 16, 1, 2), False, 0.6, 3.0, 2e-3, 4, 2, True)
