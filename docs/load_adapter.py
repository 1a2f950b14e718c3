"""Load an adapter and an output head into transformers and peft.

Usage:

    python load_adapter.py BASE [--adapter DIR] [--head FILE] [--prompt TEXT] [--logits FILE]

BASE is the folder (or the hub's name) of the base model; --adapter a folder with
adapter_config.json and adapter_model.safetensors; --head a safetensors file with
the tensor lm_head.weight (the output head, vocabulary x hidden). All of them are
what `bilevel llm export` writes; with its default the head lies inside the
adapter's folder, as one of modules_to_save, and --head is not needed. A folder of
`bilevel llm merge` is a base model that needs neither.

With --prompt the script prints a greedy continuation. With --logits it runs the
token ids of a JSON file, {"input_ids": [[...], ...]}, and writes the logits to
FILE.safetensors beside it, to compare them with another program's.

Needs: torch, transformers, peft, safetensors.
"""

import argparse
import json

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def load_model(base, adapter=None, head=None):
    """Return the model with the adapter and the head, in evaluation mode."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if head is not None:
        weight = load_file(head)["lm_head.weight"]
        layer = model.get_output_embeddings()
        if tuple(layer.weight.shape) != tuple(weight.shape):
            raise SystemExit(f"{head}: the head is {tuple(weight.shape)}, the model's is {tuple(layer.weight.shape)}")
        # A new parameter: where the head was tied to the embedding, the embedding
        # stays as it is.
        layer.weight = torch.nn.Parameter(weight.to(layer.weight.dtype))
        model.config.tie_word_embeddings = False
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("--adapter")
    parser.add_argument("--head")
    parser.add_argument("--prompt")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--logits", metavar="FILE")
    args = parser.parse_args()

    model = load_model(args.base, args.adapter, args.head)
    if args.prompt is not None:
        tokenizer = AutoTokenizer.from_pretrained(args.base)
        ids = tokenizer(args.prompt, return_tensors="pt").input_ids
        new = model.generate(input_ids=ids, max_new_tokens=args.max_tokens, do_sample=False)
        print(tokenizer.decode(new[0], skip_special_tokens=True))
    if args.logits is not None:
        with open(args.logits) as f:
            rows = json.load(f)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(rows)).logits
        save_file({"logits": logits.float().contiguous()}, args.logits + ".safetensors")


if __name__ == "__main__":
    main()
