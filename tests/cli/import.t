# Weights of other tools: what is read, what is said of it, and that they work as a model and as a start. The files are tests/golden/exchange's.
? test -d "$EHM_TEST_ROOT/tests/golden/exchange"
$ ln -s "$EHM_TEST_ROOT/tests/golden/exchange" x && ehm info x/hf4_vit
x/hf4_vit: transformers folder, safetensors, 40 tensors, 17,315 numbers
  holds     the encoder alone: features, no reconstructions
  head      3 classes
  from      transformers 4.57.6, names of hf
  input     16 x 16 px, 3 channels, patches of 4 px (4 x 4 = 16)
  encoder   width 32, depth 2, heads 2
  mean      0.485, 0.456, 0.406
  std       0.229, 0.224, 0.225
  note      its layer norms say epsilon 1e-12, and 1e-06 is used here: features differ by less than 1e-4 as a rule
$ ehm info x/mae_full/mae_full.pth
x/mae_full/mae_full.pth: pth (zip), ... tensors, ... numbers
  holds     encoder and decoder: features and reconstructions
  from      official MAE, names of mae
  input     16 x 16 px, 3 channels, patches of 4 px (4 x 4 = 16)
  encoder   width 32, depth 2, heads 1 (heads are a guess: the file does not say)
  decoder   width 8, depth 1, heads 1
  mean, std not in the file
  note      it does not say what its decoder predicts; normalised pixels (norm_pix_loss) are assumed
$ ehm info x/timm_avg/model.pth
...
  head      3 classes, on the mean of the patch tokens (fc_norm)
...
$ for f in hf5_modules lightly/model.pt solo_learn/*.ckpt torchvision/vit.pth hf4_shards timm_folder; do ehm info x/$f --json | ehm_json_ok >/dev/null || echo $f; done
$ ehm info x/hf5_modules --verbose | grep vit.*q_proj.weight
  vit.layers.0.attention.q_proj.weight     f32   [32, 32]
  vit.layers.1.attention.q_proj.weight     f32   [32, 32]

# import: the report, and a file that opens everywhere.
$ ehm import x/mmpretrain/epoch_2.pth --num-heads 2 --decoder-num-heads 2 --img-size 24 --channels 1 --out deep/er/m.safetensors
x/mmpretrain/epoch_2.pth: pth (zip)
  holds     encoder and decoder: features and reconstructions
  from      mmpretrain, names of mmpretrain
  input     24 x 24 px, 1 channels, patches of 4 px (6 x 6 = 36)
  encoder   width 32, depth 2, heads 2
  decoder   width 8, depth 1, heads 2
  mean      0.449
  std       0.226
...
  tensors   45 matched, 5 resized, 0 missing, 2 unexpected
  resized     pos_embed (state_dict.backbone.pos_embed): 4x4 to 6x6 patches, bicubic with antialias (timm)
  resized     decoder_pos_embed (state_dict.neck.decoder_pos_embed): 4x4 to 6x6 patches, bicubic with antialias (timm)
  resized     patch_embed.proj.weight (state_dict.backbone.patch_embed.projection.weight): 3 channels summed to 1 (timm)
  resized     decoder_pred.weight (state_dict.neck.decoder_pred.weight): patches of 4 px and 3 channels to 4 px and 1
  resized     decoder_pred.bias (state_dict.neck.decoder_pred.bias): patches of 4 px and 3 channels to 4 px and 1
  unexpected  state_dict.data_preprocessor.mean: taken for the pictures, not a weight
  unexpected  state_dict.data_preprocessor.std: taken for the pictures, not a weight
deep/er/m.safetensors: written, 50 tensors
$ ehm info deep/er/m.safetensors | grep from
  from      ehm ..., imported from mmpretrain, names of mae
$ ehm embed --model deep/er/m.safetensors --data scenes:1:4:32 --out m.npy --quiet
m.npy: [4, 32] f32, ...
...
$ ehm draw reconstruct --model deep/er/m.safetensors --image scenes:1:1:32 --out m.png --quiet
m.png...
$ ehm import x/hf4_vit --img-size 32 --patch-size 8 --resample mae --out h.safetensors --json | ehm_json_ok
file out img_h img_w channels patch_size embed_dim depth num_heads decoder_embed_dim decoder_depth decoder_num_heads has_decoder norm_pix_loss heads_guessed n_classes container dialect tool notes matched resized missing unexpected
$ ehm import x/hf4_vit --img-size 32 --resample mae --out h.safetensors | grep resized
  tensors   31 matched, 1 resized, 0 missing, 0 unexpected
  resized     pos_embed (vit.embeddings.position_embeddings): 4x4 to 8x8 patches, bicubic without antialias (mae)
$ ehm import x/hf4_vit --out a.safetensors --quiet && ehm import x/hf4_vit --out b.safetensors --quiet && cmp a.safetensors b.safetensors
a.safetensors: written, 32 tensors
b.safetensors: written, 32 tensors

# A tool's own file or folder stands wherever a model does.
$ ehm embed --model x/hf4_vit --data scenes:1:4:32 --out 1.npy --quiet && ehm embed --model a.safetensors --data scenes:1:4:32 --out 2.npy --quiet && cmp 1.npy 2.npy && echo the same
...
the same
$ ehm embed --model x/hf4_shards --data scenes:1:4:32 --out 3.npy --quiet
3.npy: [4, 32] f32, ...
...
$ ehm embed --model x/timm_avg/model.pth --data scenes:1:4:32 --out 4.npy
note: x/timm_avg/model.pth: sizes deduced from its tensors; 1 attention heads are a guess from the width
note: x/timm_avg/model.pth: a classifier on the mean of its tokens: it has fc_norm after pooling and no norm of single tokens, so features are normalised without weights of its own
...
$ ehm eval finetune --model x/hf4_vit --train scenes:1:24:16 --test scenes:2:8:16 --steps 2 --batch-size 8 --quiet
...
x/hf4_vit ...
...

# --init: sizes that differ are brought to the run's, and said.
$ ehm pretrain --data scenes:1:32:32 --preset pico --embed-dim 32 --depth 2 --num-heads 2 --mlp-ratio 1.5 --patch-size 8 --channels 1 --batch-size 8 --steps 2 --out r1 --init x/timm_folder 2>&1 | grep -e "^note: x" -e "^note: weights" -e "^note: 2" -e "^r1"
note: x/timm_folder: patch_embed.proj.weight: patches of 4 to 8 px, pseudo-inverse of the resize (FlexiViT, as timm); 3 channels summed to 1 (timm)
note: weights from x/timm_folder: 30 taken, 32 start at random (mask_token, ...)
note: 2 tensors of x/timm_folder have no place here and are left (head.weight, ...)
r1: 2 steps, ...
$ ehm pretrain --data scenes:1:32:32 --preset pico --embed-dim 32 --depth 2 --num-heads 2 --mlp-ratio 1.5 --patch-size 4 --batch-size 8 --steps 2 --out r2 --init x/mae_full/mae_full.pth 2>&1 | grep -e "^note: x" -e "^note: weights" -e "^r2"
note: x/mae_full/mae_full.pth: pos_embed: 4x4 to 8x8 patches, bicubic with antialias (timm)
note: x/mae_full/mae_full.pth: its decoder (width 8 and 16, depth 1, heads 1) is left out: the one asked for is of width 64 and 96, depth 2, heads 2
note: weights from x/mae_full/mae_full.pth: 30 taken, 32 start at random (mask_token, ...)
r2: 2 steps, ...

# The model before the first step is the same start again: the first step, of rate 0, leaves it as it was.
$ ehm pretrain --data scenes:1:32:32 --preset pico --embed-dim 32 --depth 2 --num-heads 2 --mlp-ratio 1.5 --patch-size 8 --channels 1 --batch-size 8 --steps 1 --out r0 --init x/timm_folder --quiet
r0: 1 steps, ...
$ ehm embed --model untrained:r0 --data scenes:1:4:32 --out 5.npy --quiet && ehm embed --model r0 --data scenes:1:4:32 --out 6.npy --quiet && cmp 5.npy 6.npy && echo the same
...
the same
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 1 --out r3 --init x/hf4_vit --quiet
ehm: tensor "cls_token" is 1x1x32 in the file, but 1x1x128 in the model
  while: starting from --init x/hf4_vit
...
[1]
$ ehm pretrain --data scenes:1:32:32 --preset pico --embed-dim 32 --depth 2 --num-heads 4 --mlp-ratio 1.5 --batch-size 8 --steps 1 --out r3 --init x/hf4_vit --quiet
ehm: x/hf4_vit has 2 attention heads, and the encoder asked for has 4
  while: starting from --init x/hf4_vit
  hint:  --num-heads 2
[1]

# What is refused.
$ ehm import
ehm: ...
...
[2]
$ ehm import x/hf4_vit
ehm: --out is missing: the safetensors file to write
  hint:  ehm info x/hf4_vit shows what it holds without writing anything
[2]
$ ehm import x/hf4_vit --out m.pth
ehm: --out m.pth: the name of a file of weights ends in .safetensors
[2]
$ ehm import a.safetensors --out a.safetensors
ehm: --out a.safetensors: is the file that is imported; it would be lost
[2]
$ ehm import x/hf4_vit --img-size 18 --out c.safetensors
ehm: img_size 18x18 is not a multiple of patch_size 4
  while: importing x/hf4_vit
  hint:  --img-size 16x16 fits this patch
[2]
$ ehm import x/hf4_vit --img-size big --out c.safetensors
ehm: --img-size big: must be a side like 224, or height and width like 192x256
[2]
$ ehm import x/hf4_vit --resample best --out c.safetensors
ehm: --resample best: must be one of timm|mae
...
[2]
$ ehm import x/hf4_vti --out c.safetensors
ehm: x/hf4_vti: no such file or folder
  while: importing x/hf4_vti
  hint:  did you mean x/hf4_vit?
[2]
$ sed 's/vit.encoder.layer.1.layernorm_after.bias/vit.encoder.layer.1.layernorm_aftex.bias/' x/hf4_vit/model.safetensors >torn.safetensors && ehm import torn.safetensors --out c.safetensors
ehm: torn.safetensors: the tensor "vit.encoder.layer.1.layernorm_aftex.bias" belongs to another kind of vision transformer: without it the encoder would compute something else
  while: importing torn.safetensors
  hint:  ...
[1]
$ sed 's/vit.encoder.layer.1.layernorm_after.bias/xit.encoder.layer.1.layernorm_after.bias/' x/hf4_vit/model.safetensors >torn.safetensors && ehm import torn.safetensors --out c.safetensors
ehm: torn.safetensors: 1 of the encoder's 30 tensors are missing, first "blocks.1.norm2.bias"
  while: importing torn.safetensors
  hint:  the file is incomplete; ehm import --partial --out F.safetensors draws what is missing, as at the start of a run
[1]
$ ehm embed --model torn.safetensors --data scenes:1:4:32 --out 7.npy
ehm: torn.safetensors: 1 of the encoder's 30 tensors are missing, first "blocks.1.norm2.bias"
  while: opening the model torn.safetensors
...
[1]
$ ehm import torn.safetensors --partial --num-heads 2 --out c.safetensors
...
  tensors   31 matched, 0 resized, 1 missing, 1 unexpected
  missing     blocks.1.norm2.bias: drawn anew
  unexpected  xit.encoder.layer.1.layernorm_after.bias
c.safetensors: written, 32 tensors
$ head -c 9000 x/mae_full/mae_full.pth >cut.pth && ehm import cut.pth --out d.safetensors
ehm: cut.pth: ...
...
[1]
$ mkdir two && cp x/timm_pth/model.pth two/a.pth && cp x/timm_pth/model.pth two/b.pth && ehm import two --out d.safetensors
ehm: two: 2 files of weights in this folder, and none is named model.safetensors or pytorch_model.bin
  while: importing two
  hint:  name the file itself, such as two/b.pth
[1]
$ ehm import x/hf4_vit --dry-run --out d.safetensors | grep "  tensors"; ls d.safetensors
  tensors   32 matched, 0 resized, 0 missing, 0 unexpected
ls: cannot access 'd.safetensors': No such file or directory
[2]
