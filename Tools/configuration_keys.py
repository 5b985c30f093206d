"""Writes Sources/CModelsData/configuration_keys.json: per model type the keys that its configuration class of transformers reads.

    python Tools/configuration_keys.py        (with the packages of Tools/fixtures/requirements.txt, transformers 5)

Each key stands with its default; null is also what a key has that is computed from others where it is absent. Keys that change
nothing that is computed from given weights (dropout, initialisation, outputs, special tokens) are left out, and so are those of
PreTrainedConfig, which every class has.
"""

import ast
import dataclasses
import inspect
import json
import re
from pathlib import Path

import transformers
from transformers.models.auto import configuration_auto, modeling_auto

# Text models that are run or planned are among those that transformers has these heads for.
MAPPINGS = [modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
            modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES]  # fmt: skip
OTHERS = ["t5gemma", "m2m_100", "umt5", "ministral3", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text",
          "qwen3_vl_moe_text"]  # fmt: skip
HARMLESS = re.compile(
    r"dropout|_pdrop$|layerdrop|^initializer_|^init_std$|_token_id$|^use_cache$|^output_|^pretraining_tp$|_aux_loss|"
    r"^router_jitter|^router_z_loss|^gradient_checkpointing$|^torch_dtype$|^dtype$|^num_labels$|^id2label$|^label2id$"
)


def keys_of(config_class: type) -> dict:
    base = {field.name for field in dataclasses.fields(transformers.PreTrainedConfig)}
    keys = {field.name: default(field) for field in dataclasses.fields(config_class)
            if field.name not in base or field.name in config_class.__dict__.get("__annotations__", {})}  # fmt: skip
    keys |= popped(config_class)
    for alias, name in (config_class.attribute_map or {}).items():
        if name in keys:
            keys.setdefault(alias, keys[name])
    return {key: value for key, value in sorted(keys.items()) if not HARMLESS.search(key) and not key.startswith("_")}


def default(field: dataclasses.Field):
    if field.default is not dataclasses.MISSING:
        return plain(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return None


def popped(config_class: type) -> dict:
    """Keys of older configurations, which a class takes from its other arguments."""
    found = {}
    for part in config_class.__mro__:
        if part is transformers.PreTrainedConfig:
            break
        if "__post_init__" not in part.__dict__:
            continue
        source = inspect.getsource(part.__post_init__)
        for name, value in re.findall(r"kwargs\.(?:pop|get|setdefault)\(\s*\"(\w+)\"(?:,\s*([^()]+?))?\s*\)", source):
            try:
                found[name] = ast.literal_eval(value) if value else None
            except (ValueError, SyntaxError):
                found[name] = None
    return found


def plain(value):
    try:
        json.dumps(value, allow_nan=False)
        return value
    except (TypeError, ValueError):
        return None


def main() -> None:
    names = sorted({name for mapping in MAPPINGS for name in mapping} | set(OTHERS))
    table = {}
    for name in names:
        try:
            table[name] = keys_of(transformers.CONFIG_MAPPING[name])
        except (ImportError, KeyError, TypeError, AttributeError) as error:
            print(f"{name}: {error}")
    lines = [f"{json.dumps(name)}: {json.dumps(keys, separators=(',', ':'))}" for name, keys in table.items()]
    path = Path(__file__).resolve().parents[1] / "Sources" / "CModelsData" / "configuration_keys.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path}: {len(table)} model types, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
