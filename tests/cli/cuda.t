# The CUDA back end from the command line, on a GPU that is this processor (tests/cuda_emu): slow, but the same kernels.
$ printf 'EHM_CUDA_PLUGIN=%s exec ehm "$@"\n' "$EHM_BIN/tests/libehm_cuda_emu.so" >g; printf '%s' "--preset pico --embed-dim 24 --depth 2 --num-heads 2 --decoder-embed-dim 16 --decoder-depth 1 --decoder-num-heads 2 --patch-size 8 --img-size 32 --batch-size 4 --epochs 3 --save-steps 2 --keep 3 --seed 1 --watch-every 0 --quiet" >net
$ sh g doctor | grep "^ok   cuda"
ok   cuda        emulated GPU, 8.00 GiB, compute capability 9.0, products of the host; what --device auto takes
$ EHM_EMU_DEVICES=0 sh g doctor | grep cuda
ok   cuda        not used: device "cuda": no NVIDIA GPU is seen here

# The same run on both devices: bf16 and random keys are the same, so the losses are.
$ ehm pretrain --data scenes:1:8:32 $(cat net) --dtype bf16 --device cpu --out cpu 2>&1 | sed 's/, [0-9]* images.*//'
cpu: 6 steps, last loss 1.1730
$ sh g pretrain --data scenes:1:8:32 $(cat net) --device cuda --out gpu 2>&1 | sed '/ASan does/d; s/, [0-9]* images.*//'
gpu: 6 steps, last loss 1.1730

# Trees and masks made on the device or by the host, steps recorded or not, pictures that travel while the device works (late ops, late copies): the same.
$ for how in EHM_DEVICE_TREES=off EHM_CUDA_GRAPH=off EHM_EMU_LATE=ops EHM_EMU_LATE=copies; do env $how sh g pretrain --data scenes:1:8:32 $(cat net) --device cuda --out other >/dev/null 2>&1; cmp gpu/model.safetensors other/model.safetensors && cmp gpu/metrics.jsonl other/metrics.jsonl && echo same; rm -r other; done
same
same
same
same

# Its end taken away and made again from the checkpoint of the first epoch: the same bits.
$ cp -r gpu part && rm -r part/checkpoints/0000000[46] part/DONE part/model.safetensors && sh g pretrain --out part --resume --quiet >/dev/null 2>&1 && cmp gpu/model.safetensors part/model.safetensors && cmp gpu/metrics.jsonl part/metrics.jsonl && echo same
same

# What is made of the model: the same neighbours as on the processor.
$ sh g eval knn --model gpu --train scenes:1:8:32 --test scenes:2:8:32 --k 1 --device cuda --dtype f32 --json --quiet 2>/dev/null | tr ',' '\n' | grep '"value"' >a; ehm eval knn --model gpu --train scenes:1:8:32 --test scenes:2:8:32 --k 1 --device cpu --dtype f32 --json --quiet 2>/dev/null | tr ',' '\n' | grep '"value"' >b; cmp a b && echo alike
alike

# A GPU that is asked for and is not there.
$ EHM_EMU_DEVICES=0 sh g embed --model gpu --data scenes:2:8:32 --device cuda --out c.npy
ehm: device "cuda": no NVIDIA GPU is seen here
  while: opening the model gpu
  hint:  --device cpu
[1]
$ EHM_EMU_DRIVER=12040 sh g embed --model gpu --data scenes:2:8:32 --device cuda --out c.npy
ehm: device "cuda": the NVIDIA driver is for CUDA up to 12.4, and CUDA 13.0 is needed
  while: opening the model gpu
  hint:  a newer NVIDIA driver, or --device cpu
[1]
$ EHM_EMU_BYTES=800000 sh g pretrain --data scenes:1:8:32 $(cat net) --device cuda --out small
ehm: a batch of 4 pictures needs ... are free
  hint:  --batch-size 2 fits; --accum-iter 2 then keeps the step as large
[1]
