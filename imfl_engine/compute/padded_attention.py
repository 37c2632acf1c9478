"""Attention on a GPU: the fused kernel, with a mask for every batch.

Without this ``transformers`` looks at the values of every batch's mask, to do without one where no text
is padded; the host then waits for the device at each forward pass. Batches of texts have padding.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "imfl_padded"


def always_masked(*arguments: Any, **options: Any) -> torch.Tensor | None:
    """The mask, also where it masks nothing."""
    options["allow_is_bidirectional_skip"] = False
    mask: torch.Tensor | None = sdpa_mask(*arguments, **options)
    return mask


def mask_always(model: Any) -> None:
    """Let a ``transformers`` model attend this way, in place, if it would use the fused kernel."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


AttentionInterface.register(NAME, sdpa_attention_forward)
AttentionMaskInterface.register(NAME, always_masked)
