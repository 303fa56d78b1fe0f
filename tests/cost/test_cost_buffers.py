"""From layers to buffers by a runtime's habits: padded copies, scratch, results over inputs; toy nets by hand."""

import pytest

from hwsim.chip import KindMemory, Runtime
from hwsim.cost import lower, plan_arena
from hwsim.cost.buffers import arena_problem, scratch_bytes
from hwsim.graph import GraphBuilder, ops
from hwsim.nets import build


def runtime(kinds=None, dtype="int8", **more):
    habits = {kind: KindMemory(**fields) for kind, fields in (kinds or {}).items()}
    return Runtime(schema=1, name="toy", runtimes=("toy",), kinds={dtype: habits}, sources={"*": "toy"}, **more)


def buffers_of(graph, facts, **how):
    """Return name -> (size, first step, last step), and gaps by name; scratch and padded copies by their layer."""
    workload = lower(graph, **how)
    needs, problem = arena_problem(workload, [facts] * len(workload.rows))
    names = [need.tensors[0] if need.tensors else f"{need.role} {need.owner}" for need in needs]
    sizes = {name: (b.size, b.first, b.last) for name, b in zip(names, problem.buffers, strict=True)}
    return sizes, {(names[i], names[j]): gap for (i, j), gap in problem.gaps.items()}


def two_convs(stride=1, padding="same"):
    b = GraphBuilder("two")
    x = b.input("x", (1, 8, 8, 2), "int8")
    a = b.conv2d(x, 4, 1, name="first")
    return b.build([b.conv2d(a, 6, 3, stride=stride, padding=padding, name="second")])


def test_without_a_runtime_every_tensor_is_a_buffer():
    # 8*8*2 = 128, 8*8*4 = 256, 8*8*6 = 384 B; layer 0 runs at step 1, layer 1 at step 3; the output lives to step 4.
    sizes, gaps = buffers_of(two_convs(), None)
    assert sizes == {"x": (128, 0, 1), "first": (256, 1, 3), "second": (384, 3, 4)}
    assert gaps == {}


def test_scratch_lives_while_its_layer_runs():
    # second: 3*3*4 = 36 taps, 6 filters, 216 weights: 5 + 4*36 + 7*6 + min(2*216, 400) = 591 B.
    conv = {
        "scratch_bytes": 5,
        "scratch_bytes_per_tap": 4,
        "scratch_bytes_per_filter": 7,
        "scratch_bytes_per_weight": 2,
        "scratch_weight_bytes_max": 400,
    }
    sizes, _ = buffers_of(two_convs(), runtime({"conv": conv}))
    assert sizes["scratch 1"] == (591, 3, 3)
    assert "scratch 0" not in sizes
    arena = plan_arena(lower(two_convs()), [runtime({"conv": conv})] * 2)
    # 256 + 384 + 591 live while second runs.
    assert (arena.lower_bound_bytes, arena.peak_layer, arena.scratch_bytes) == (1231, 1, 591)


def test_scratch_of_the_generated_kernels():
    # Sizes that ST's generator gives for int8 kernels: 3x3x3 to 16 filters 1,196 B; 3x3x16 to 24 filters 6,032 B;
    # 1x1 from 64 to 64 channels 896 B; depthwise 3x3 over 32 channels 1,088 B.
    def scratch(kind, channels, filters, kernel, groups=1):
        from hwsim.chip import load_chip

        facts = load_chip("stm32h747").engines[0].memory_facts
        b = GraphBuilder("one")
        x = b.input("x", (1, 8, 8, channels), "int8")
        y = b.conv2d(x, filters, kernel, groups=groups, name="layer")
        (row,) = lower(b.build([y])).rows
        assert row.kind == kind
        return scratch_bytes(row, facts.habits("int8", kind))

    assert scratch("conv", 3, 16, 3) == 4 * 27 + 16 * 14 + 2 * 27 * 16 == 1196
    assert scratch("conv", 16, 24, 3) == 4 * 144 + 24 * 14 + 5120 == 6032
    assert scratch("pointwise", 64, 64, 1) == 4 * 64 + 10 * 64 == 896
    assert scratch("depthwise", 32, 32, 3, groups=32) == 2 * 9 * 32 + 16 * 32 == 1088


def test_a_padded_copy_is_made_before_a_layer():
    # second's input becomes 10*10*4 = 400 B at step 2, and first's buffer dies then; row r of it moves up by one row of
    # 10*4 = 40 B and 2*4 = 8 B per row before it, 4 B at the left: 40 + 7*8 + 4 = 100 B at most.
    sizes, gaps = buffers_of(two_convs(), runtime({"conv": {"padding": "before"}}))
    assert sizes["padded 1"] == (400, 2, 3)
    assert sizes["first"] == (256, 1, 2)
    assert gaps == {("first", "padded 1"): 100}
    # Also with a stride of 2, where padding at one side would do.
    sizes, _ = buffers_of(two_convs(stride=2), runtime({"conv": {"padding": "before"}}))
    assert sizes["padded 1"][0] == 400
    # A valid convolution needs none.
    sizes, _ = buffers_of(two_convs(padding="valid"), runtime({"conv": {"padding": "before"}}))
    assert "padded 1" not in sizes


def test_a_padded_copy_of_what_others_read_stands_beside_it():
    b = GraphBuilder("skip")
    x = b.input("x", (1, 8, 8, 4), "int8")
    a = b.conv2d(x, 4, 1, name="a")
    c = b.conv2d(a, 4, 3, padding="same", name="c")
    sizes, gaps = buffers_of(b.build([b.binary("add", a, c, name="add")]), runtime({"conv": {"padding": "before"}}))
    assert sizes["a"] == (256, 1, 5)
    assert sizes["padded 1"] == (400, 2, 3)
    assert gaps == {}


def test_the_layer_before_writes_a_padded_buffer():
    sizes, gaps = buffers_of(two_convs(), runtime({"conv": {"padding": "written"}}))
    assert sizes["first"] == (400, 1, 3)
    assert gaps == {}


def test_an_input_of_the_net_is_padded_by_the_kernel():
    b = GraphBuilder("first")
    x = b.input("x", (1, 8, 8, 3), "int8")
    sizes, _ = buffers_of(b.build([b.conv2d(x, 4, 3, padding="same")]), runtime({"conv": {"padding": "before"}}))
    assert sizes["x"][0] == 192


@pytest.mark.parametrize(
    ("stride", "pad", "gap"),
    [
        # Rows of the input 8*4 = 32 B, of the result 8*6 = 48 B. The last row, p = 7, is written to 8*48 = 384 while
        # rows from 7*1 - 1 = 6 on are read: 384 - 6*32 = 192.
        (1, "same", 192),
        # Valid: 6 rows of 6*6 = 36 B; 6*36 - 5*32 = 56.
        (1, "valid", 56),
        # Stride 2, SAME, padding only below: 4 rows of 24 B; after the first row it falls behind: 24.
        (2, "same", 24),
    ],
)
def test_a_result_over_the_rows_of_its_input(stride, pad, gap):
    _, gaps = buffers_of(two_convs(stride, pad), runtime({"conv": {"overlay": True}}))
    assert gaps == {("first", "second"): gap}


def test_rows_by_running_them():
    """The gap is what a loop over rows finds that looks at every byte still to be read."""
    for stride, kernel, filters, padding in ((1, 3, 6, 1), (2, 3, 9, 1), (1, 5, 3, 2), (3, 3, 20, 0), (2, 1, 4, 0)):
        b = GraphBuilder("rows")
        x = b.input("x", (1, 13, 7, 4), "int8")
        a = b.conv2d(x, 4, 1, name="a")
        graph = b.build([b.conv2d(a, filters, kernel, stride=stride, padding=padding, name="y")])
        kind = "pointwise" if kernel == 1 else "conv"
        _, gaps = buffers_of(graph, runtime({kind: {"overlay": True}}))
        rows, width = graph.tensors["y"].shape[1:3]
        worst = 0
        for p in range(rows):
            first_read = max(p * stride - padding, 0)
            worst = max(worst, (p + 1) * width * filters - first_read * 7 * 4)
        expected = {} if worst >= rows * width * filters else {("a", "y"): worst}
        assert {pair: gap for pair, gap in gaps.items() if pair[1] == "y"} == expected, (stride, kernel, filters)


def test_growth_limits_overlays():
    # second is 384/256 = 1.5 times its input.
    kinds = {"conv": {"overlay": True, "overlay_growth_max": 1.4}}
    assert buffers_of(two_convs(), runtime(kinds))[1] == {}
    kinds = {"conv": {"overlay": True, "overlay_growth_max": 1.5}}
    assert buffers_of(two_convs(), runtime(kinds))[1] == {("first", "second"): 192}


def test_elementwise_layers_run_in_place():
    b = GraphBuilder("add")
    x = b.input("x", (1, 4, 4, 4), "int8")
    a = b.conv2d(x, 4, 1, name="a")
    c = b.conv2d(a, 4, 1, name="c")
    graph = b.build([b.binary("add", a, c, name="add")])
    facts = runtime({"elementwise": {"overlay": True}})
    # Over either input, from its first byte on; x lives until a has run, a until the sum.
    assert buffers_of(graph, facts)[1] == {("a", "add"): 0, ("c", "add"): 0}
    assert plan_arena(lower(graph), [facts] * 3).peak_bytes == 2 * 64
    assert plan_arena(lower(graph)).peak_bytes == 3 * 64


def test_a_quantising_layer_shrinks_in_place():
    b = GraphBuilder("quantise")
    x = b.input("x", (1, 4, 4, 4), "float32")
    graph = b.build([b.add(ops.Cast(dtype="int8"), [x], name="cast")[0]])
    _, gaps = buffers_of(graph, runtime({"elementwise": {"overlay": True}}, dtype="float32"))
    assert gaps == {("x", "cast"): 0}


def test_a_border_over_what_it_surrounds():
    # 4*4 pixels of 2 B become 6*6: row r moves up by 12 + 2 + 4*r bytes, the last by 26.
    b = GraphBuilder("border")
    x = b.input("x", (1, 4, 4, 2), "int8")
    a = b.conv2d(x, 2, 1, name="a")
    y = b.add(ops.Pad(pads=((0, 0), (1, 1), (1, 1), (0, 0))), [a], name="pad")[0]
    _, gaps = buffers_of(b.build([y]), runtime({"copy": {"overlay": True}}))
    assert gaps == {("a", "pad"): 26}


def conv_and_pool(padding=0):
    b = GraphBuilder("pooled")
    x = b.input("x", (1, 8, 8, 4), "int8")
    a = b.conv2d(x, 4, 1, name="a")
    c = b.unary("leaky_relu", b.conv2d(a, 8, 3, padding=1, name="c"), alpha=0.1, name="leaky")
    return b.build([b.pool("max", c, 2, stride=2, padding=padding, name="pool")])


def test_convolution_and_pooling_as_one():
    kinds = {"conv": {"overlay": True}, "pool": {"overlay": True}}
    sizes, gaps = buffers_of(conv_and_pool(), runtime(kinds, fuses_pooling=True))
    # Two rows of 8*8 B of the convolution; all of it runs at the pool's step, 2*3 + 1.
    assert sizes["c"] == (128, 7, 7)
    assert sizes["a"] == (256, 1, 7)
    assert sizes["pool"] == (128, 7, 8)
    # Together a stride of 2 and one row of padding: rows of 4*8 = 32 B over rows of 32 B. p = 0: 32; p = 1: 64 - 32;
    # p = 3: 128 - 5*32 < 0.
    assert gaps == {("a", "pool"): 32}
    # Padded pooling runs by itself.
    sizes, _ = buffers_of(conv_and_pool(padding=1), runtime(kinds, fuses_pooling=True))
    assert sizes["c"][0] == 512


def test_concat_in_place():
    b = GraphBuilder("fire")
    x = b.input("x", (1, 4, 4, 4), "int8")
    small, large = b.conv2d(x, 4, 1, name="small"), b.conv2d(x, 8, 3, padding=1, name="large")
    graph = b.build([b.concat([small, large], name="both")])
    # 64 + 128 B apart and 192 B together; in place the result is there from when small is written.
    assert plan_arena(lower(graph)).lower_bound_bytes == 64 + 128 + 192
    sizes, _ = buffers_of(graph, runtime(concat_in_place=True))
    assert sizes == {"x": (64, 0, 3), "both": (192, 1, 6)}
    assert plan_arena(lower(graph), [runtime(concat_in_place=True)] * 3).peak_bytes == 64 + 192


def test_inputs_and_outputs_outside_the_arena():
    facts = runtime(input_in_arena=False, output_in_arena=False)
    assert buffers_of(two_convs(), facts)[0] == {"first": (256, 1, 3)}


def test_alignment_rounds_up():
    b = GraphBuilder("odd")
    graph = b.build([b.conv2d(b.input("x", (1, 3, 3, 1), "int8"), 2, 1, name="y")])
    sizes, _ = buffers_of(graph, runtime(alignment_bytes=16))
    assert {name: size for name, (size, *_) in sizes.items()} == {"x": 16, "y": 32}


@pytest.mark.parametrize("name", ["ds_cnn", "resnet8", "vww_mobilenet", "squeezenet_v1_1"])
def test_a_batch_scales_what_is_no_scratch(name):
    graph = build(name)
    kinds = {kind: {"padding": "written"} for kind in ("conv", "depthwise")}
    facts = runtime(kinds)
    one, three = (lower(graph, dtype="int8", batch=batch) for batch in (1, 3))
    peaks = [plan_arena(w, [facts] * len(w.rows)).peak_bytes for w in (one, three)]
    assert peaks[1] == 3 * peaks[0]


def test_overlays_of_a_batch_by_hand():
    # Two images: the result's second image begins at 384 B while the input's second image is still to be read, from row
    # 8: image 1, p = 7: (8 + 8)*48 - (8 + 6)*32 = 768 - 448 = 320.
    _, gaps = buffers_of(two_convs(), runtime({"conv": {"overlay": True}}), batch=2)
    assert gaps == {("first", "second"): 320}
