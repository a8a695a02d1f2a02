"""Makes a model with fewer key heads from that of a run: RUN/model → a folder that `transformers` loads.

The keys and values of each group of heads are averaged. `train.start_from` goes on from such a folder.
"""

from jobs.progress import Progress
from model.accounting import readable_bytes
from model.cache import cache_bytes_per_token
from model.checkpoint import load_model
from model.conversion import with_key_heads
from model.export import export_model
from pipeline import storage
from pipeline.errors import SettingError
from pipeline.places import join
from tokenizer.encoding import load_encoder


def main(run: str, *, kv_heads: int, out: str = "") -> str:
    """The folder of the converted model, by default RUN/converted/kv-N.

    Raises:
        SettingError: the model cannot be converted, `transformers` has no class for it, or `out` holds files already.
    """
    if out and storage.list_files(out):
        raise SettingError(f"out is {out}, which holds files already; name an empty or a new folder")
    model, tokenizer = load_model(join(run, "model")), join(run, "tokenizer", "tokenizer.json")
    pooled = with_key_heads(model, kv_heads)
    out = out or join(run, "converted", f"kv-{kv_heads}")
    end = load_encoder(tokenizer).end_of_text_id
    export_model(pooled, out, end_of_text_id=end, tokenizer_json=storage.read_bytes(tokenizer))
    before, after = (readable_bytes(cache_bytes_per_token(each.architecture)) for each in (model, pooled))
    Progress.note(
        f"convert: {model.architecture.num_kv_heads} key heads pooled to {kv_heads}; the cache takes {after} a token "
        f"instead of {before} (16 bits): {out}"
    )
    return out
