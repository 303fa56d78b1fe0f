"""Ethos-U beside Vela's estimate."""

from __future__ import annotations

from pathlib import Path

import pytest

import hwsim
from hwsim.cost import lower
from hwsim.silicon.published import vela

MODELS = Path(__file__).parents[3] / "shared" / "models"
REFERENCE = {
    "ad_autoencoder": "ad01_int8",
    "resnet8": "resnet8_int8",
    "ds_cnn": "dscnn_kws_int8",
    "vww_mobilenet": "vww_mobilenet_v1_0.25_96_int8",
}
EVERY = {(one.accelerator, one.net): one for one in vela.estimates()}
# Whole nets and medians of layers that miss their aim, as docs/validation_arrays.md explains.
MISSED_NETS = {
    ("ethos_u65_512", "ad_autoencoder"): 0.21,
}
MISSED_LAYERS = {
    ("ethos_u65_512", "ad_autoencoder"): 0.13,
    ("ethos_u85_256", "ad_autoencoder"): 0.16,
    ("ethos_u85_256", "resnet8"): 0.13,
    ("ethos_u85_512", "resnet8"): 0.14,
    ("ethos_u85_1024", "resnet8"): 0.14,
    ("ethos_u85_2048", "resnet8"): 0.14,
    ("ethos_u65_256", "ds_cnn"): 0.11,
    ("ethos_u65_512", "ds_cnn"): 0.13,
    ("ethos_u85_256", "ds_cnn"): 0.12,
    ("ethos_u85_512", "ds_cnn"): 0.12,
    ("ethos_u85_1024", "ds_cnn"): 0.28,
    ("ethos_u85_128", "vww_mobilenet"): 0.16,
    ("ethos_u85_256", "vww_mobilenet"): 0.16,
    ("ethos_u85_512", "vww_mobilenet"): 0.18,
    ("ethos_u85_1024", "vww_mobilenet"): 0.14,
    ("ethos_u85_2048", "vww_mobilenet"): 0.16,
}


def test_a_dense_layer_by_hand():
    # 128 to 640 channels of one pixel: 4 steps of 32 channels * 80 of 8 filters, each 32 cycles for its 256 weights at
    # 8 a cycle: 10,240; Vela says 10,939 with what fills and drains. Flash takes longer: 68.6 KB, and 10 B a filter.
    one = EVERY["ethos_u55_128", "ad_autoencoder"]
    share = next(code.share for row in vela.workload("ad_autoencoder").rows[-1:] if (code := row.weight_code))
    assert one.ours[9] == pytest.approx(81920 * share + 6400, rel=1e-3)
    assert one.published[9] == 76336


@pytest.mark.parametrize("case", EVERY, ids="-".join)
def test_whole_nets_within_their_aim(case):
    one = EVERY[case]
    error = sum(one.ours) / sum(one.published) - 1
    assert abs(error) <= MISSED_NETS.get(case, vela.net_aim(one.accelerator).share)


@pytest.mark.parametrize("case", EVERY, ids="-".join)
def test_the_median_layer_within_its_aim(case):
    assert EVERY[case].median_error <= MISSED_LAYERS.get(case, vela.LAYERS.share)


def test_what_is_said_to_be_missed_is():
    for case, most in MISSED_NETS.items():
        one = EVERY[case]
        assert vela.net_aim(one.accelerator).share < abs(sum(one.ours) / sum(one.published) - 1) <= most
    for case, most in MISSED_LAYERS.items():
        assert vela.LAYERS.share < EVERY[case].median_error <= most


@pytest.mark.skipif(not MODELS.exists(), reason="needs the reference models")
@pytest.mark.parametrize("net", REFERENCE)
def test_shipped_shares_are_those_of_the_reference_models(net):
    model = hwsim.load_net(MODELS / f"{REFERENCE[net]}.tflite")
    shares = [row.weight_code.share for row in lower(model).rows if row.weight_code]
    shipped = [row.weight_code.share for row in vela.workload(net).rows if row.weight_code]
    assert shipped == pytest.approx(shares, abs=1e-4)
    one = EVERY["ethos_u55_64", net]
    report = hwsim.evaluate(model, hwsim.load_chip("ethos_u55_64"))
    assert report.latency_s * 500e6 == pytest.approx(sum(one.ours), rel=1e-3)
