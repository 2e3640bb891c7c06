# The default method from end to end: masks along the hierarchy, looks on the way, drawings and an evaluation afterwards.
$ ehm pretrain --data scenes:1:48:32 --out r --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 4 --batch-size 16 --lr 1e-3 --quiet
r: 12 steps, last loss ...
$ ls r/pictures | sed 's/\.p.*//'
00000003_masks
00000003_reconstruct
00000003_tree
00000006_masks
00000006_reconstruct
00000006_tree
00000009_masks
00000009_reconstruct
00000009_tree
00000012_masks
00000012_reconstruct
00000012_tree
masks_over_training
$ grep -c watch r/metrics.jsonl
4
$ grep -o '"loss_ehm"\|"loss_moved"\|"loss_random"\|"tree_split_half"' r/metrics.jsonl | sort | uniq -c | sed 's/^ *//'
4 "loss_ehm"
4 "loss_moved"
4 "loss_random"
4 "tree_split_half"
$ ls r | grep attention
attention_mean.safetensors
$ ehm draw masks --model r --image scenes:2:1:32 --count 3 --out m.npy
m.npy: 5 x 3 masks by ehm on 4 x 4 patches
  u 0.00 ... removed 12 of 16...
...
  u 1.00 ... removed 12 of 16, K ...
$ ehm eval tree --model r --test scenes:2:24:32 --pictures 24 --json --quiet
{"task": "tree"...}
# The same run under a stop: resumed, and nothing differs.
$ ehm pretrain --data scenes:1:48:32 --out s --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 4 --batch-size 16 --lr 1e-3 --quiet --save-steps 5
s: 12 steps, last loss ...
$ rm -r s/checkpoints/00000012 s/DONE s/model.safetensors && ehm pretrain --out s --resume --quiet
s: 12 steps, last loss ...
$ cmp r/model.safetensors s/model.safetensors && cmp r/metrics.jsonl s/metrics.jsonl && echo same
same
# No looks when told so; MAE as it was.
$ ehm pretrain --data scenes:1:48:32 --out n --recipe mae --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 1 --batch-size 16 --quiet --watch-every 0 && ls n | grep -c pictures
n: 3 steps, last loss ...
0
[1]
# Rules and options that cannot work, before any picture is looked at.
$ ehm pretrain --data nowhere --out q --mask ehn --quiet
ehm: mask rule "ehn" is not known
  hint:  did you mean "ehm"? ehm list masks shows all
[2]
$ ehm pretrain --data nowhere --out q --mask color:pink --quiet
ehm: ...pink...
...
[2]
$ ehm pretrain --data nowhere --out q --k-start 4 --k-end 9 --quiet
ehm: k_end 9 is more than k_start 4: nodes only become fewer
  hint:  --schedule reversed goes from k_end up to k_start
[2]
$ ehm pretrain --data scenes:1:16:32 --out q --tree-layers 9 --preset pico --quiet
ehm: --tree-layers 9: the encoder has 4 blocks
  hint:  all, last, first:K with K up to 4, first:1/3, or block numbers from 0 to 3 such as 0,3,5
[2]
$ ehm pretrain --data scenes:1:16:32 --out q --progress later --quiet
ehm: --progress later: must be lr, step or epoch
  hint:  lr counts the share of the summed learning rate, the default
[2]
