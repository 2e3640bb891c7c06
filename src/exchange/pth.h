/* .pth, .pt, .bin, .ckpt: what torch.save writes, read without executing anything. A zip (stored entries) or the older bare stream holds a pickle
 * program; a fixed set of its instructions is interpreted (tensors, dicts, lists, tuples, numbers, strings, None, booleans, argparse
 * namespaces), a few objects of frameworks that hold no weights are passed over, and anything else is refused by name.
 *
 *     ehm_st *f; ehm_pth_open(&f, "mae_pretrain_vit_base.pth", &err);       // then as any safetensors file (exchange/safetensors.h)
 *
 * Tensor names are the keys from the outermost dict inwards, joined by dots: "model.blocks.0.norm1.weight"; a list's items count from 0, a
 * number is its text, what stands under any other key (a tuple, a class) is left out, and a tensor saved alone is "tensor". Tensors come out in
 * the file's order, contiguous (strides and storage offsets honoured; those that are contiguous in the file stay there), in the dtype of the
 * file. Numbers, booleans and strings of dicts and namespaces become metadata under the same kind of name, at most 256, the outer ones first:
 * "epoch", "args.norm_pix_loss".
 */
#ifndef EHM_EXCHANGE_PTH_H
#define EHM_EXCHANGE_PTH_H
#include "exchange/safetensors.h"

/* EHM_E_FORMAT: truncated, cyclic, huge counts, storages outside the file, overlapping zip entries, unknown instructions or types: the
 * message names byte or entry and what stood there. EHM_E_UNSUPPORTED: compressed or encrypted entries, zip64 beyond what is read, quantised or sparse tensors. */
ehm_code ehm_pth_open(ehm_st **out, const char *path, ehm_err *err);
bool ehm_pth_claims(const void *first_bytes, size_t n); /* a zip or a pickle, by content; 64 bytes suffice */
#endif
