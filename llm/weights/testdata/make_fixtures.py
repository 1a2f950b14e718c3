"""Makes the files of this folder: GGUF files and decoded blocks by the format's own
Python package, so that the Go reader is compared with code it shares nothing with.

    pip install gguf==0.19.0 numpy ml_dtypes && python make_fixtures.py
"""
import base64, json, zlib
import gguf, ml_dtypes
import numpy as np

rng = np.random.default_rng(5)


def blocks():
    """Random blocks of every quantised type with the reference's values."""
    out = {}
    scales = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
    for name, at in scales.items():
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        n = 512 // values
        raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
        for offset in at:
            # Scales of both signs and many sizes, the first one subnormal in half precision.
            d = (rng.standard_normal(n) * 10.0 ** rng.integers(-4, 3, n)).astype(np.float16)
            d[0] = np.float16(3e-7)
            raw[:, offset:offset + 2] = d.view(np.uint8).reshape(n, 2)
        expect = gguf.quants.dequantize(raw.reshape(-1), kind).astype("<f4").reshape(-1)
        assert expect.size == 512 and np.isfinite(expect).all()
        out[name] = {"raw": base64.b64encode(raw.tobytes()).decode(), "values": base64.b64encode(expect.tobytes()).decode()}
    return out


def rounding():
    """Checksums of numpy's conversions over a grid of bit patterns without NaN."""
    half = np.arange(65536, dtype=np.uint16).view(np.float16)
    half = half[~np.isnan(half)]
    bits = (np.arange(1 << 20, dtype=np.uint64) * 4097 % (1 << 32)).astype(np.uint32)
    single = bits.view(np.float32)
    single = single[~np.isnan(single)]
    with np.errstate(over="ignore"):
        return {
            "half_to_single": zlib.crc32(half.astype("<f4").tobytes()),
            "single_to_half": zlib.crc32(single.astype("<f2").tobytes()),
            "single_to_bfloat16": zlib.crc32(single.astype(ml_dtypes.bfloat16).view("<u2").tobytes()),
        }


def value(tensor, shape):
    """Numbers that tell tensor, row and column apart and are exact in half precision."""
    rows = int(np.prod(shape[:-1]))
    v = (np.arange(rows) % 128)[:, None] + np.arange(shape[-1])[None, :] / 32.0
    return ((v if tensor % 2 == 0 else -v).reshape(shape)).astype(np.float32)


def interleave(w, heads):
    """Half-split rotary rows to neighbouring pairs, as the converter does."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def every_kind(w):
    """One metadata entry of every type."""
    T = gguf.GGUFValueType
    w.add_uint8("test.u8", 200); w.add_int8("test.i8", -100); w.add_uint16("test.u16", 60000); w.add_int16("test.i16", -30000)
    w.add_uint32("test.u32", 4000000000); w.add_int32("test.i32", -2000000000); w.add_float32("test.f32", 0.1)
    w.add_uint64("test.u64", 2 ** 63 + 1); w.add_int64("test.i64", -2 ** 62); w.add_float64("test.f64", 0.1)
    w.add_bool("test.bool", True); w.add_string("test.string", "é\U0001f600")
    w.add_array("test.strings", ["a", "", "ccc"]); w.add_array("test.ints", [1, -2, 3]); w.add_array("test.floats", [0.5, -1.5])
    w.add_array("test.bools", [True, False]); w.add_array("test.nested", [[1, 2], [3]])


def vocabulary(w, n):
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("llama-bpe")
    w.add_token_list([f"t{i}" for i in range(n)]); w.add_token_types([3, 3] + [1] * (n - 2)); w.add_token_merges(["t 1", "t 2"])
    w.add_bos_token_id(0); w.add_eos_token_id(1); w.add_chat_template("{{ x }}")


def finish(w):
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def llama(path):
    hidden, inter, layers, heads, kv, vocab = 32, 48, 2, 4, 2, 40
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(256); w.add_embedding_length(hidden); w.add_block_count(layers); w.add_feed_forward_length(inter)
    w.add_head_count(heads); w.add_head_count_kv(kv); w.add_layer_norm_rms_eps(1e-5); w.add_rope_freq_base(500000.0)
    w.add_rope_dimension_count(hidden // heads); w.add_vocab_size(vocab)
    every_kind(w); vocabulary(w, vocab)
    # Frequency divisors of the Llama 3.2 release for this head size, by the converter's formula.
    factor, low, high, old = 32.0, 1.0, 4.0, 8192
    f = 1.0 / (500000.0 ** (np.arange(0, 8, 2) / 8))
    turns = old * f / (2 * np.pi)
    smooth = (turns - low) / (high - low)
    divisors = np.where(turns > high, 1.0, np.where(turns < low, factor, 1 / ((1 - smooth) / factor + smooth)))
    w.add_tensor("rope_freqs.weight", divisors.astype(np.float32))
    w.add_tensor("token_embd.weight", value(0, (vocab, hidden)).astype(np.float16))
    for i in range(layers):
        b = f"blk.{i}."
        w.add_tensor(b + "attn_norm.weight", value(1, (hidden,)))
        w.add_tensor(b + "attn_q.weight", interleave(value(2, (hidden, hidden)), heads).astype(np.float16))
        w.add_tensor(b + "attn_k.weight", interleave(value(3, (hidden // 2, hidden)), kv))
        w.add_tensor(b + "attn_v.weight", value(4, (hidden // 2, hidden)).astype(np.float16))
        w.add_tensor(b + "attn_output.weight", value(5, (hidden, hidden)).astype(np.float16))
        w.add_tensor(b + "ffn_norm.weight", value(6, (hidden,)))
        w.add_tensor(b + "ffn_gate.weight", value(7, (inter, hidden)).astype(np.float16))
        w.add_tensor(b + "ffn_up.weight", value(8, (inter, hidden)).astype(np.float16))
        w.add_tensor(b + "ffn_down.weight", value(9, (hidden, inter)))
    w.add_tensor("output_norm.weight", value(10, (hidden,)))
    finish(w)


def neox(path):
    hidden, inter, layers, heads, vocab = 32, 48, 1, 4, 40
    size = hidden // heads
    w = gguf.GGUFWriter(path, "gptneox")
    w.add_context_length(256); w.add_embedding_length(hidden); w.add_block_count(layers); w.add_feed_forward_length(inter)
    w.add_head_count(heads); w.add_layer_norm_eps(1e-5); w.add_rope_dimension_count(size // 2); w.add_parallel_residual(False)
    fuse = lambda v: np.concatenate([v.reshape(heads, 3, size, -1)[:, k].reshape(hidden, -1) for k in range(3)])
    w.add_tensor("token_embd.weight", value(0, (vocab, hidden)))
    b = "blk.0."
    for j, (name, shape) in enumerate([("attn_norm", (hidden,)), ("ffn_norm", (hidden,)), ("attn_output", (hidden, hidden)), ("ffn_up", (inter, hidden)), ("ffn_down", (hidden, inter))]):
        w.add_tensor(b + name + ".weight", value(j, shape)); w.add_tensor(b + name + ".bias", value(j + 1, shape[:1]))
    w.add_tensor(b + "attn_qkv.weight", fuse(value(2, (3 * hidden, hidden))))
    w.add_tensor(b + "attn_qkv.bias", fuse(value(3, (3 * hidden, 1))).reshape(-1))
    w.add_tensor("output_norm.weight", value(1, (hidden,))); w.add_tensor("output_norm.bias", value(2, (hidden,)))
    w.add_tensor("output.weight", value(3, (vocab, hidden)))
    finish(w)


llama("llama.gguf")
neox("neox.gguf")
json.dump({"blocks": blocks(), "crc32": rounding()}, open("decode.json", "w"), indent=1)
