# Models in the formats of other tools, what is refused, and that nothing is left behind.
$ ehm export --model untrained:pico --format timm --out t --quiet
t: README.md config.json model.safetensors
read back: features of 8 pictures differ from the model's by at most 0
load it with

    import timm
    model = timm.create_model("local-dir:t", pretrained=True).eval()
    # or, strictly:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, global_pool="token", img_size=(64, 64), patch_size=8, in_chans=3, embed_dim=128, depth=4, num_heads=4, mlp_ratio=4, checkpoint_path="t/model.safetensors").eval()
$ ls t; ehm_json_ok <t/config.json; grep -c timm.create_model t/README.md
README.md
config.json
model.safetensors
architecture num_classes num_features global_pool model_args pretrained_cfg
2
$ ehm export --model untrained:pico --format hf --out h --json --quiet >h.json && ehm_json_ok <h.json; ls h; ehm_json_ok <h/preprocessor_config.json
format out files max_difference n_checked load_with seconds
README.md
config.json
model.safetensors
preprocessor_config.json
image_processor_type do_resize size resample do_rescale rescale_factor do_normalize image_mean image_std do_convert_rgb
$ ehm export --model untrained:pico --format mae --out f/mae.safetensors --quiet | head -1; ehm export --model untrained:pico --format torchvision --out f/tv.safetensors --quiet | head -1; ls f
f/mae.safetensors: written
f/tv.safetensors: written
mae.safetensors
tv.safetensors

# What was exported is a model like any other, with the same features.
$ for m in untrained:pico t h f/mae.safetensors f/tv.safetensors; do ehm embed --model $m --data scenes:1:6:64 --out e.npy --quiet >/dev/null 2>&1 && cksum <e.npy; done | sort -u | wc -l
1

# An unfinished run is its newest checkpoint.
$ ehm pretrain --data scenes:1:64:32 --preset pico --steps 4 --save-steps 2 --keep 2 --batch-size 16 --out r --quiet >/dev/null && rm r/DONE r/model.safetensors r/encoder.safetensors && ehm export --model r --format mae --out r.safetensors --quiet | head -1; ehm export --model r/checkpoints/00000002 --format hf --out r_hf --quiet | head -1; grep '^| pictures' r_hf/README.md
r.safetensors: written
r_hf: README.md config.json model.safetensors preprocessor_config.json
| pictures | scenes:1:64:32 |

# Classifiers, with the names of their classes.
$ ehm eval finetune --model untrained:pico --train scenes:1:48:32 --test scenes:2:12:32 --pool cls --steps 2 --batch-size 16 --save c.safetensors --quiet >/dev/null && ehm export --model c.safetensors --format hf --out c_hf --quiet | head -1; grep -o '"0": "[a-z]*"' c_hf/config.json; ehm export --model c.safetensors --format timm --out c_t --quiet >/dev/null; ehm predict --model c.safetensors --data scenes:2:12:32 --out a.tsv --quiet >/dev/null; ehm predict --model c_t/model.safetensors --data scenes:2:12:32 --out b.tsv --quiet >/dev/null; cmp a.tsv b.tsv
c_hf: README.md config.json model.safetensors preprocessor_config.json
"0": "bird"
$ ehm eval finetune --model untrained:pico --train scenes:1:48:32 --test scenes:2:12:32 --steps 2 --batch-size 16 --save m.safetensors --quiet >/dev/null; ehm export --model m.safetensors --format hf --out m_hf
...
ehm: m.safetensors: the classifier reads the mean of the patch tokens, and ViTForImageClassification reads the class token
  hint:  --format timm, mae or onnx holds it; a network fine-tuned with --pool cls fits all formats
[1]
$ ehm eval linear --model untrained:pico --train scenes:1:48:32 --test scenes:2:12:32 --pools cls --strengths 1 --save l.safetensors --quiet >/dev/null; ehm export --model l.safetensors --format torchvision --out l_tv.safetensors --quiet | grep num_classes
    model = VisionTransformer(...num_classes=12)

# ONNX: an encoder for one picture or for any number, a classifier with its classes.
$ ehm export --model untrained:pico --format onnx --out f/m.onnx --quiet
f/m.onnx: written
read back: features of 8 pictures differ from the model's by at most ...
load it with

    import onnxruntime
    session = onnxruntime.InferenceSession("f/m.onnx")
    # pixels: float32 [1, 3, 64, 64], from 0 to 1, minus mean 0.5, 0.5, 0.5, divided by std 0.5, 0.5, 0.5
    output = session.run(["pooled_cls"], {"pixel_values": pixels})[0]  # or last_hidden_state, pooled_mean
$ ehm export --model untrained:pico --format onnx --dynamic-batch --opset 21 --out f/any.onnx --quiet | grep '#'; grep -ac dim_param f/any.onnx; grep -ao Gelu f/any.onnx | head -1
    # pixels: float32 [any number, 3, 64, 64], ...
    output = ...
0
Gelu
$ ehm export --model untrained:pico --format onnx --out f/again.onnx --quiet >/dev/null; cmp f/m.onnx f/again.onnx
$ ehm export --model m.safetensors --format onnx --out m.onnx --quiet | grep -c logits; grep -ao '"bird",' m.onnx
1
"bird",
$ ehm export --model untrained:pico --format onnx --opset 13 --out x.onnx --quiet
ehm: --opset 13: must be a whole number from 17 to 21 or auto (version)
usage: ...
[2]
$ ehm export --model untrained:pico --format timm --dynamic-batch --out x --quiet
ehm: --dynamic-batch is for --format onnx, not for timm
[2]

# Refused.
$ ehm export --model untrained:pico --format tim --out x
ehm: --format tim: must be one of ...
  hint:  did you mean timm?
...
[2]
$ ehm export --model untrained:pico --out x --quiet
ehm: --format is missing: one of ...
[2]
$ ehm export --format timm --out x --quiet
ehm: --model is missing: ...
[2]
$ ehm export --model untrained:pico --format timm --quiet
ehm: --out is missing: the folder or file to write
[2]
$ ehm export --model untrained:pico --format timm --out t --quiet
ehm: --out t: the folder holds an export already
  hint:  --overwrite puts the new export in its place
[2]
$ touch t/notes.txt; ehm export --model untrained:pico --format timm --out t --overwrite --quiet; ls t/notes.txt
ehm: --out t: the folder holds "notes.txt", which no export wrote
  hint:  name a folder that does not exist yet
t/notes.txt
$ ehm export --model untrained:pico --format mae --out f/mae.safetensors --quiet
ehm: --out f/mae.safetensors: the file exists
  hint:  --overwrite puts the new export in its place
[2]
$ ehm export --model untrained:pico --format mae --out x --quiet
ehm: --out x: format mae is a file whose name ends in .safetensors
  hint:  --out x.safetensors
[2]
$ ehm export --model untrained:pico --format timm --class ViTModel --out x --quiet
ehm: --class is for --format hf, not for timm
[2]
$ ehm export --model untrained:pico --format hf --class ViTMdoel --out x --quiet
ehm: --class ViTMdoel: must be one of ViTMAEForPreTraining, ViTModel, ViTForImageClassification
  hint:  did you mean ViTModel?
[2]
$ ehm export --model t/model.safetensors --format hf --class ViTMAEForPreTraining --out x --quiet
ehm: --class ViTMAEForPreTraining has a decoder, and t/model.safetensors has none
  hint:  --class ViTModel holds the encoder
[2]
$ ehm export --model untrained:pico --format timm --out h.json/x --quiet
ehm: h.json...
...
[1]
$ ehm export --model nowhere --format timm --out x --quiet
ehm: nowhere: no such file or folder
[2]
$ ls -d x* *.part.* 2>/dev/null | wc -l
0
