"""Rules across the fields of a profile, on its plain values: they hold whether or not each field for itself is right.

That way a file with a wrong field and a broken reference is told both at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hwsim.chip.buffers import DOUBLE_BUFFERED, tile_buffers
from hwsim.chip.dataflows import DATAFLOWS
from hwsim.chip.paths import settable_paths, short_path
from hwsim.chip.problems import HINTED
from hwsim.chip.schema import ArrayEngine, CoreEngine, Memory
from hwsim.chip.sram import BY_CACTI
from hwsim.errors import did_you_mean

Key = tuple[str | int, ...]
Problem = tuple[Key, str]
Fields = Mapping[str, Any]

ENGINE_KINDS: dict[str, type[ArrayEngine | CoreEngine]] = {"array": ArrayEngine, "core": CoreEngine}


def broken_rules(data: Fields) -> list[Problem]:
    """Return (path in the file, sentence) for every rule that several fields break together.

    Args:
        data: A profile's values as the file gives them; fields of a wrong type are passed over here.
    """
    problems: list[Problem] = []
    for field in ("engines", "memories"):
        names = [item["name"] for _, item in _items(data, field)]
        problems += [
            ((field,), f"{field}: two are named {name!r}") for name in dict.fromkeys(names) if names.count(name) > 1
        ]
    for index, engine in _items(data, "engines"):
        problems += _engine_problems(data, ("engines", index), engine)
    problems += _unreached_memories(data)
    problems += _price_problems(data)
    problems += _power_problems(data)
    problems += _source_problems(data)
    return list(dict.fromkeys(problems))


def unrolled_beyond(data: Fields) -> list[Problem]:
    """Return (path in the file, sentence) for every cap on copies of a dimension that is larger than its axis.

    A rule of files alone: an array made smaller by a change of its fields keeps its dataflows, whose caps idle then.
    """
    problems: list[Problem] = []
    for index, engine in _items(data, "engines"):
        flows = engine.get("dataflows")
        for number, flow in enumerate(flows if isinstance(flows, list | tuple) else ()):
            if not isinstance(flow, dict):
                continue
            for dim, most in (flow.get("at_most") or {}).items():
                sizes = {axis: engine[axis] for axis in ("rows", "cols") if dim in flow.get(axis, ())}
                if sizes and most > max(sizes.values()):
                    told = " and ".join(f"{size} {axis}" for axis, size in sizes.items())
                    where = f"engines.{engine['name']}.dataflows.{flow['name']}.at_most.{dim}"
                    sentence = f"{where} = {most}: unrolls beyond the array, which has {told}"
                    problems.append((("engines", index, "dataflows", number, "at_most", dim), sentence))
    return problems


def _unreached_memories(data: Fields) -> list[Problem]:
    """Return a line for each memory that no engine names among those it reaches."""
    given = [engine.get("memories") for _, engine in _items(data, "engines")]
    # An engine that names none reaches all.
    if not given or not all(_is_words(names) for names in given):
        return []
    reached = {name for names in given if names for name in names}
    known = {memory["name"] for _, memory in _items(data, "memories")}
    if not reached <= known:
        return []  # a name is mistyped, which is told already
    return [
        (
            ("memories", index),
            f"memories.{memory['name']}: no engine reaches it; name it in engines.*.memories, or leave it out",
        )
        for index, memory in _items(data, "memories")
        if memory["name"] not in reached
    ]


def _items(data: Fields, field: str) -> Iterator[tuple[int, Fields]]:
    """Yield index and fields of the engines or memories that have a name."""
    listed = data.get(field)
    for index, item in enumerate(listed if isinstance(listed, list | tuple) else ()):
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield index, item


def _engine_problems(data: Fields, key: Key, engine: Fields) -> list[Problem]:
    where = f"engines.{engine['name']}"
    known = {memory["name"]: (index, memory) for index, memory in _items(data, "memories")}
    given = engine.get("memories")
    if given is not None and not _is_words(given):
        return []
    reached = list(known) if given is None else list(given)
    at = key if given is None else (*key, "memories")
    problems: list[Problem] = [
        (
            at,
            f"{where}.memories: no memory {name!r}{did_you_mean(name, known) or '; this chip has ' + ', '.join(known)}",
        )
        for name in reached
        if name not in known and known
    ]
    memories = [known[name] for name in reached if name in known]
    buffers: list[Fields] = []
    if engine.get("kind") == "array":
        buffers = _buffers([memory for _, memory in memories])
        problems += _buffer_problems(at, buffers, where)
        problems += _inter_layer_problems((*key, "inter_layer"), engine, memories, where)
    homes = [(index, memory) for index, memory in memories if memory not in buffers]
    for contents in ("weights", "activations"):
        if homes and not problems and not any(_may_hold(memory, contents) for _, memory in homes):
            problems.append((at, f"{where}.memories: none of them may hold {contents}; see memories.*.holds"))
    if engine.get("kind") == "array":
        problems += _dataflow_problems(key, engine.get("dataflows"), where)
    return problems


def _buffers(memories: Sequence[Fields]) -> list[Fields]:
    """Return the memories that are tile buffers of an array that reaches these."""
    told = [(memory["name"], held if _is_words(held := memory.get("operands")) else None) for memory in memories]
    names = set(tile_buffers(told).values())
    return [memory for memory in memories if memory["name"] in names]


def _buffer_problems(at: Key, buffers: Sequence[Fields], where: str) -> list[Problem]:
    modes = {memory["name"]: memory.get("transfers", DOUBLE_BUFFERED) for memory in buffers}
    if len(set(modes.values())) < 2:
        return []
    told = ", ".join(f"{name} {mode}" for name, mode in modes.items())
    return [(at, f"{where}.memories: tile buffers beside each other need the same transfers; these have: {told}")]


def _inter_layer_problems(at: Key, engine: Fields, memories: Sequence[tuple[int, Fields]], where: str) -> list[Problem]:
    """Return a line where tensors are to stay in a buffer, and no buffer holds both ends of a layer."""
    if not engine.get("inter_layer"):
        return []
    if engine.get("run_mw") is not None or engine.get("kernels"):
        return [(at, f"{where}.inter_layer: not beside run_mw or kernels, which were measured layer by layer")]
    told = [(memory["name"], held if _is_words(held := memory.get("operands")) else None) for _, memory in memories]
    found = tile_buffers(told)
    if found.get("ifmap") is not None and found.get("ifmap") == found.get("ofmap"):
        return []
    names = {operand: found.get(operand, "none") for operand in ("ifmap", "ofmap")}
    held = ", ".join(f"{operand} in {name}" for operand, name in names.items())
    sentence = f"{where}.inter_layer: needs one tile buffer that holds ifmap and ofmap; this has {held}"
    return [(at, sentence)]


def _dataflow_problems(key: Key, flows: Any, where: str) -> list[Problem]:
    """Return a line for each name that is no dataflow's, and for names that stand twice."""
    problems: list[Problem] = []
    names: list[Any] = []
    for index, flow in enumerate(flows if isinstance(flows, list | tuple) else ()):
        name = flow.get("name") if isinstance(flow, dict) else flow
        at = (*key, "dataflows", index)
        if isinstance(flow, str) and flow not in DATAFLOWS:
            hint = did_you_mean(flow, DATAFLOWS) or f"; known: {', '.join(DATAFLOWS)}; or define it here"
            problems.append((at, f"{where}.dataflows: no dataflow {flow!r}{hint}"))
        elif name in names:
            problems.append((at, f"{where}.dataflows: {name!r} stands here twice"))
        names.append(name)
    return problems


def _is_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)


def _may_hold(memory: Fields, contents: str) -> bool:
    held = memory.get("holds")
    return not isinstance(held, list | tuple) or contents in held


def _price_problems(data: Fields) -> list[Problem]:
    """Return a line for every energy that some engine's layers would need; its run power may be given instead."""
    known = {memory["name"]: index for index, memory in _items(data, "memories")}
    needy = [e for _, e in _items(data, "engines") if e.get("run_mw") is None]
    problems: list[Problem] = []
    if needy and not data.get("mac_pj"):
        powers = [f"engines.{engine['name']}.run_mw [mW]" for engine in needy]
        instead = f", or {' and '.join(powers)}" if all(engine.get("kind") == "core" for engine in needy) else ""
        at: Key = ("mac_pj",) if "mac_pj" in data else ()
        problems.append((at, f"mac_pj: missing: give the energy of a MAC by dtype [pJ]{instead}"))
    given = [engine["memories"] if _is_words(engine.get("memories")) else known for engine in needy]
    reached = {name for names in given for name in names}
    problems += [
        (("memories", index), f"memories.{name}.pj_per_byte: missing: give the energy of an access [pJ/B]")
        for name, index in known.items()
        if name in reached and data["memories"][index].get("pj_per_byte") is None
    ]
    for index, memory in _items(data, "memories"):
        if memory.get("pj_per_byte") == BY_CACTI and not isinstance(data.get("process_nm"), int | float):
            sentence = f"memories.{memory['name']}.pj_per_byte = {BY_CACTI}: needs process_nm, the node [nm]"
            problems.append((("memories", index, "pj_per_byte"), sentence))
    return problems


def _power_problems(data: Fields) -> list[Problem]:
    """Return a line for every power figure that lacks what it is scaled by."""
    problems: list[Problem] = []
    if data.get("regulator") == "linear" and data.get("supply_v") is None:
        problems.append((("regulator",), "regulator = linear: needs supply_v, for power follows the supply [V]"))
    if data.get("rated_v") is not None and data.get("regulator") is None:
        problems.append((("rated_v",), "rated_v: needs regulator, linear or smps, to say how power follows the supply"))
    for index, engine in _items(data, "engines"):
        where, at = f"engines.{engine['name']}", ("engines", index)
        run, fixed = engine.get("run_mw"), engine.get("run_fixed_mw")
        if engine.get("rated_mhz") is not None and run is None:
            problems.append(((*at, "rated_mhz"), f"{where}.rated_mhz: needs run_mw, which was measured there [mW]"))
        if fixed is None:
            continue
        if engine.get("rated_mhz") is None:
            sentence = f"{where}.run_fixed_mw: needs rated_mhz, the clock at which run_mw was measured [MHz]"
            problems.append(((*at, "run_fixed_mw"), sentence))
        elif isinstance(fixed, int | float) and isinstance(run, int | float) and fixed > run:
            sentence = f"{where}.run_fixed_mw = {fixed:g}: must be at most run_mw, {run:g}, of which it is a part"
            problems.append(((*at, "run_fixed_mw"), sentence))
    return problems


def _source_problems(data: Fields) -> list[Problem]:
    """Return a line for each key of ``sources`` that covers no field."""
    sources = data.get("sources")
    if not isinstance(sources, dict):
        return []
    owners: dict[str, type[BaseModel]] = {
        f"memories.{memory['name']}": Memory for _, memory in _items(data, "memories")
    }
    for _, engine in _items(data, "engines"):
        if engine.get("kind") in ENGINE_KINDS:
            owners[f"engines.{engine['name']}"] = ENGINE_KINDS[engine["kind"]]
    # A key may stand for a whole engine, memory or table: every beginning of a path, its list named or left out.
    parts = [form.split(".") for path in settable_paths(owners) for form in (path, short_path(path))]
    covers = {".".join(words[:length]) for words in parts for length in range(1, len(words) + 1)} | {"*"}
    unknown = [key for key in sources if key not in covers]
    hints = [did_you_mean(str(key), covers) if index < HINTED else "" for index, key in enumerate(unknown)]
    return [(("sources", key), f"sources: no field {key!r}{hint}") for key, hint in zip(unknown, hints, strict=True)]
