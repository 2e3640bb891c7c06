"""Golden values for the compute ops, computed by PyTorch (those of affinity by NumPy) in double.

    python3 -m venv v && v/bin/pip install torch==2.15.0 numpy==2.4.6
    v/bin/python tools/golden/ops.py > tests/golden/ops/ops.txt

Inputs are f32 numbers, so that every back end starts from the same; scalars (learning rates, scales) are f32 numbers too, as the
args structs of compute.h hold them. One line a tensor: name, count, values.
"""
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)


def f32(x):
    return float(np.float32(x))


def draw(*shape, scale=1.0, shift=0.0):
    return (torch.randn(*shape) * scale + shift).to(torch.float32).to(torch.float64)


def put(name, t):
    v = torch.as_tensor(t).detach().reshape(-1).tolist()
    print(name, len(v), " ".join(repr(int(x)) if float(x).is_integer() and abs(x) < 1e6 else "%.10g" % x for x in v))


def leaf(t):
    return t.clone().requires_grad_(True)


# Linear layer with bias and residual: out = a w^T + bias + add
a, w, bias, add, dy = leaf(draw(5, 12)), leaf(draw(7, 12)), leaf(draw(7)), leaf(draw(5, 7)), draw(5, 7)
out = F.linear(a, w, bias) + add
out.backward(dy)
for n, t in dict(a=a, w=w, bias=bias, add=add, dout=dy, out=out, da=a.grad, dw=w.grad, dbias=bias.grad).items():
    put("linear." + n, t)

# Layer norm, eps 1e-6
x, w, b, dy = leaf(draw(6, 20, scale=2, shift=1)), leaf(draw(20)), leaf(draw(20)), draw(6, 20)
out = F.layer_norm(x, (20,), w, b, f32(1e-6))
out.backward(dy)
mean = x.mean(-1)
rstd = 1 / torch.sqrt(x.var(-1, unbiased=False) + f32(1e-6))
for n, t in dict(x=x, weight=w, bias=b, dout=dy, out=out, mean=mean, rstd=rstd, dx=x.grad, dweight=w.grad, dbias=b.grad).items():
    put("norm." + n, t)

# GELU, erf form
x, dy = leaf(torch.cat([draw(40, scale=2), torch.tensor([0.0, -8.0, 8.0, -4.0, -0.5])])), draw(45)
out = F.gelu(x, approximate="none")
out.backward(dy)
for n, t in dict(x=x, dout=dy, out=out, dx=x.grad).items():
    put("gelu." + n, t)

# Self-attention as timm and MAE lay it out: qkv [B,N,3*H*K]
B, N, H, K = 2, 7, 3, 4
scale = f32(K ** -0.5)
qkv, dy = leaf(draw(B, N, 3 * H * K, scale=1.5)), draw(B, N, H * K)
q, k, v = qkv.reshape(B, N, 3, H, K).permute(2, 0, 3, 1, 4).unbind(0)
out = F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2).reshape(B, N, H * K)
out.backward(dy)
s = (q @ k.transpose(-2, -1)) * scale
probs = s.softmax(-1)
for n, t in dict(qkv=qkv, dout=dy, out=out, lse=torch.logsumexp(s, -1), probs=probs, mean=probs.mean(1), dqkv=qkv.grad).items():
    put("attn." + n, t)

# Patches as MAE's patchify cuts them (n, h*w, p*p*c), of normalised pixels; and a convolution of the same pixels
B, C, S, P, D = 2, 3, 8, 4, 6
u8 = torch.randint(0, 256, (B, S, S, C)).to(torch.float64)
m, sd = torch.tensor([f32(123.7), f32(116.3), f32(103.5)]), torch.tensor([f32(1 / 58.4), f32(1 / 57.1), f32(1 / 57.4)])
img = ((u8 - m) * sd).permute(0, 3, 1, 2)
g = S // P
patches = torch.einsum("nchpwq->nhwpqc", img.reshape(B, C, g, P, g, P)).reshape(B, g * g, P * P * C)
idx = torch.stack([torch.randperm(g * g)[:3] for _ in range(B)])
turned = torch.gather(patches, 1, idx[..., None].expand(-1, -1, P * P * C))
conv_w = draw(D, C, P, P)
conv = F.conv2d(img, conv_w, stride=P).flatten(2).transpose(1, 2)
conv = torch.gather(conv, 1, idx[..., None].expand(-1, -1, D))
for n, t in dict(pixels=u8, shift=m, scale=sd, patches=patches, idx=idx, picked=turned, weight=conv_w, embedded=conv).items():
    put("patch." + n, t)

# The target of MAE with norm_pix_loss, the error and its gradient
mean = turned.mean(dim=-1, keepdim=True)
var = turned.var(dim=-1, keepdim=True)
target = (turned - mean) / (var + 1.0e-6) ** 0.5
pred = leaf(draw(B, 3, P * P * C))
row = ((pred - target.to(torch.float32).to(torch.float64)) ** 2).mean(dim=-1)
loss = row.sum() * f32(1 / 6)  # the mean over rows, with the scale that the op is given
loss.backward()
for n, t in dict(target=target, pred=pred, row_loss=row, dpred=pred.grad, loss=loss).items():
    put("target." + n, t)

# The decoder's input in MAE: class token and visible tokens back in order, mask token elsewhere, position added
B, N, V, D = 2, 6, 2, 5
x, token, pos, dy = leaf(draw(B, 1 + V, D)), leaf(draw(1, D)), leaf(draw(N + 1, D)), draw(B, N + 1, D)
shuffle = torch.stack([torch.randperm(N) for _ in range(B)])
restore = torch.argsort(shuffle, dim=1)
full = torch.cat([x[:, 1:], token.reshape(1, 1, D).expand(B, N - V, D)], dim=1)
full = torch.gather(full, 1, restore[..., None].expand(-1, -1, D))
out = torch.cat([x[:, :1], full], dim=1) + pos
out.backward(dy)
src = torch.cat([torch.zeros(B, 1, dtype=torch.int64), torch.where(restore < V, restore + 1, torch.full_like(restore, -1))], dim=1)
for n, t in dict(x=x, token=token, pos=pos, src=src, dout=dy, out=out, dx=x.grad, dtoken=token.grad, dpos=pos.grad).items():
    put("route." + n, t)

# clip_grad_norm_ and three steps of AdamW
opt = dict(lr=f32(1e-2), betas=(f32(0.9), f32(0.95)), eps=f32(1e-8), weight_decay=f32(0.05))
p = leaf(draw(30))
adam = torch.optim.AdamW([p], **opt)
put("adamw.p0", p)
for step in range(3):
    p.grad = draw(30, scale=1.0 if step != 1 else 0.1)
    put("adamw.g%d" % (step + 1), p.grad)
    put("adamw.sumsq%d" % (step + 1), (p.grad ** 2).sum())
    before = p.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_([p], 3.0)
    put("adamw.norm%d" % (step + 1), norm)
    put("adamw.factor%d" % (step + 1), (p.grad / before)[0])
    adam.step()
    put("adamw.p%d" % (step + 1), p)
state = adam.state[p]
put("adamw.m3", state["exp_avg"])
put("adamw.v3", state["exp_avg_sq"])

# bf16: round to nearest even, with ties and values too large
x = torch.cat([draw(50), torch.tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 3.3895314e38, 1e-40, 65280.0, 257.0])])
x = x.to(torch.float32)
put("bf16.x", x.to(torch.float64))
put("bf16.out", x.to(torch.bfloat16).to(torch.float64))

# From attention to the similarity of patches, in NumPy. Attention among L patches: the class token's column dropped, rows renormalised
rng = np.random.default_rng(11)
X, L = 2, 5


def single(x):
    return np.asarray(x, np.float32).astype(np.float64)


def softmax(x):
    e = np.exp(x)
    return single(e / e.sum(-1, keepdims=True))


w = f32(0.6)
probs = softmax(rng.normal(size=(X, 1 + L, 1 + L)))
probs[1, 3] = [1] + [0] * L  # looks at the class token alone
inner = probs[:, 1:, 1:]
total = inner.sum(-1, keepdims=True)
renormalised = np.divide(inner, total, out=np.full_like(inner, 1 / L), where=total > 0)
for n, t in dict(probs=probs, rows=w * renormalised, raw=w * inner, cls=w * probs[:, 0, 1:]).items():
    put("patches." + n, t)

# The running mean is the exponential average over its own weight, as Adam's moments are corrected
d, moment = f32(0.9), 0
for step in range(1, 4):
    x = softmax(rng.normal(size=(3, 2, L)))
    moment = d * moment + (1 - d) * x.mean(0)
    put("mean.x%d" % step, x)
    put("mean.mean%d" % step, moment / (1 - d ** step))

# Profiles: the diagonal becomes the mean of the row's others; rows and columns correlate; what is constant correlates with nothing
B, C = 2, 3
a, mean = softmax(rng.normal(size=(B, C, L, L))), softmax(0.1 * rng.normal(size=(C, L, L)))
mean[2] = 0
a[1, 2] = 0.25
a[0, 2, 1] = 0.125
x = a - mean
off = ~np.eye(L, dtype=bool)


def correlations(y):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(y))


s = np.zeros((B, L, L))
for b in range(B):
    for c in range(C):
        np.fill_diagonal(x[b, c], x[b, c][off].reshape(L, L - 1).mean(1))
        s[b] += w * (correlations(x[b, c]) + correlations(x[b, c].T)) / C
for n, t in dict(a=a, mean=mean, x=x, s=s).items():
    put("profile." + n, t)

# The direct form, as it is and with each slice over its standard deviation off the diagonal
half = (a + a.transpose(0, 1, 3, 2)) / 2
deviation = a[:, :, off].std(-1)
deviation[deviation == 0] = 1
put("direct.s", w * half.mean(1))
put("direct.even", w * (half / deviation[..., None, None]).mean(1))
