"""Small nests for tests: by hand, and drawn by hypothesis."""

from hypothesis import strategies as st

from hwsim.cost.nest import Axis, Nest


def axis(size, taps, *, stride=1, pad=0, dilation=1):
    positions = (size + 2 * pad - (taps - 1) * dilation - 1) // stride + 1
    return Axis(positions=positions, taps=taps, stride=stride, dilation=dilation, pad=pad, size=size)


def conv_nest(*, n=1, g=1, k=4, c=3, h=6, w=5, r=3, s=3, stride=1, pad=1, dilation=1, bias=True):
    spatial = {"stride": stride, "pad": pad, "dilation": dilation}
    return Nest(
        n=n, g=g, k=k, c=c, rows=axis(h, r, **spatial), cols=axis(w, s, **spatial),
        ifmap_bits=8, filter_bits=8, ofmap_bits=8, bias_bytes=4 * g * k if bias else 0,
    )  # fmt: skip


@st.composite
def axes(draw, most=6):
    taps, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    pad = draw(st.integers(0, taps - 1))
    size = draw(st.integers(max(1, (taps - 1) * dilation + 1 - 2 * pad), max(most, (taps - 1) * dilation + 1)))
    return axis(size, taps, stride=draw(st.integers(1, 3)), pad=pad, dilation=dilation)


@st.composite
def nests(draw, most=4):
    small = st.integers(1, most)
    g, k = draw(st.integers(1, 3)), draw(small)
    return Nest(
        n=draw(st.integers(1, 2)),
        g=g,
        k=k,
        c=draw(small),
        rows=draw(axes()),
        cols=draw(axes()),
        ifmap_bits=8,
        filter_bits=8,
        ofmap_bits=8,
        bias_bytes=draw(st.sampled_from([0, 4 * g * k])),
    )
