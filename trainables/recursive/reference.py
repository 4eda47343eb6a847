"""State dicts of the reference implementations of HRM, TRM and ETRM.

They are github sapientinc/HRM, github SamsungSAILMontreal/TinyRecursiveModels and github
bdsaglam/etrm.

Their names map to ours part by part, in any order of layers:

    inner.H_init, inner.L_init               h_init, l_init
    inner.embed_tokens.embedding_weight      embedding.weight
    inner.embed_pos.embedding_weight         place.weight
    inner.puzzle_emb.weights                 puzzle.weight
    inner.lm_head.weight                     head.weight
    inner.q_head.weight, .bias               q_head.weight, .bias
    inner.H_level.layers.N                   higher.blocks.N
    inner.L_level.layers.N                   lower.blocks.N
      .self_attn.qkv_proj, .o_proj             .attention.qkv, .attention.out
      .mlp_t.gate_up_proj, .down_proj          .tokens.gate_up, .tokens.down
      .mlp.gate_up_proj, .down_proj            .mlp.gate_up, .mlp.down
    encoder.grid_encoder.input_embed         encoder.inputs
    encoder.grid_encoder.output_embed        encoder.outputs
      .embedding_weight                        .weight
    encoder.grid_encoder.layers.N            encoder.pair.N
    encoder.grid_encoder.pool_proj.weight    encoder.pool.weight
    encoder.set_encoder.query_tokens         encoder.queries
    encoder.set_encoder.layers.N             encoder.set.N
      .q_proj, .k_proj, .v_proj, .o_proj       .query, .key, .value, .out

`_orig_mod.`, which torch.compile adds, and `model.`, the loss head's name for the model, are
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from leadline.config import ConfigError
from trainables.recursive.model import RecursiveNet

__all__ = ["load_reference", "our_name"]

_PARTS = (
    (r"^(?:_orig_mod\.|model\.)*(?:inner\.|(?=encoder\.))", ""),
    (r"^H_init$", "h_init"),
    (r"^L_init$", "l_init"),
    (r"^embed_tokens\.embedding_weight$", "embedding.weight"),
    (r"^embed_pos\.embedding_weight$", "place.weight"),
    (r"^puzzle_emb\.weights$", "puzzle.weight"),
    (r"^lm_head\.", "head."),
    (r"^H_level\.layers\.", "higher.blocks."),
    (r"^L_level\.layers\.", "lower.blocks."),
    (r"\.self_attn\.qkv_proj\.", ".attention.qkv."),
    (r"\.self_attn\.o_proj\.", ".attention.out."),
    (r"\.mlp_t\.", ".tokens."),
    (r"\.(gate_up|down)_proj\.", r".\1."),
    (r"^encoder\.grid_encoder\.(in|out)put_embed\.embedding_weight$", r"encoder.\1puts.weight"),
    (r"^encoder\.grid_encoder\.layers\.", "encoder.pair."),
    (r"^encoder\.grid_encoder\.pool_proj\.", "encoder.pool."),
    (r"^encoder\.set_encoder\.query_tokens$", "encoder.queries"),
    (r"^encoder\.set_encoder\.layers\.", "encoder.set."),
    (r"^(encoder\.set\.\d+)\.q_proj\.", r"\1.query."),
    (r"^(encoder\.set\.\d+)\.k_proj\.", r"\1.key."),
    (r"^(encoder\.set\.\d+)\.v_proj\.", r"\1.value."),
    (r"^(encoder\.set\.\d+)\.o_proj\.", r"\1.out."),
)


def our_name(name: str) -> str:
    """Returns our name of a tensor in a reference's state dict."""
    for pattern, ours in _PARTS:
        name = re.sub(pattern, ours, name)
    return name


def load_reference(model: RecursiveNet, state: Mapping[str, Tensor]) -> None:
    """Loads a reference's state dict, without the buffers in which it trains puzzle embeddings.

    Raises:
        ConfigError: naming the first tensor that is missing, unknown or of another shape.
    """
    found = {our_name(name): tensor for name, tensor in state.items() if "puzzle_emb.local_" not in name}
    own = model.state_dict()
    for name in [*(found.keys() - own.keys()), *(own.keys() - found.keys())]:
        raise ConfigError(f"start: {name} is {'no part of this architecture' if name in found else 'missing'}")
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            raise ConfigError(
                f"start: {name} has shape {list(tensor.shape)}; this architecture needs {list(own[name].shape)}"
            )
    model.load_state_dict(found)
