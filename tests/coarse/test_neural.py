"""Networks on a linear prior: symmetries, limits, files, training, refinement."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mesobridge.coarse.bases import Spline
from mesobridge.coarse.langevin import Langevin
from mesobridge.coarse.linear_forces import LinearForces
from mesobridge.coarse.linear_model import LinearModel, load_linear
from mesobridge.coarse.networks import Architecture, build
from mesobridge.coarse.neural import NeuralForces, NeuralModel, load_neural
from mesobridge.coarse.neural_refinement import refine_neural
from mesobridge.coarse.neural_training import NeuralSettings, distance_ranges, train
from mesobridge.coarse.terms import Bonded
from mesobridge.core.artefact import read_model, write_model
from mesobridge.core.errors import InputError, SchemaError

KT = 2.494
BONDS = (Bonded("bonds", "distance", ((0, 1), (1, 2), (2, 3)), Spline(0.2, 0.6, 8)),)
TYPES = (0, 1, 1, 0)


@pytest.fixture(params=["schnet", "painn"])
def small(request):
    if request.param == "schnet":
        pytest.importorskip("torch_geometric", reason="SchNet is torch_geometric's")
    return Architecture(request.param, features=8, layers=2, functions=16, cutoff=1.2)


def chains(n, seed=0, spread=0.03):
    """Four beads, loosely bound, nm."""
    rng = np.random.default_rng(seed)
    first = np.array([[0, 0, 0], [0.4, 0, 0], [0.5, 0.38, 0], [0.6, 0.4, 0.38]])
    return torch.from_numpy(first + spread * rng.normal(size=(n, 4, 3)))


def prior(terms=BONDS, beads=4):
    """Springs of 2000 kJ/mol/nm2 about 0.4 nm, as coefficients of splines."""
    knots = np.linspace(0.15, 0.65, terms[0].size)
    one = 1000 * (knots - 0.4) ** 2
    return LinearModel(("A",) * beads, np.full(beads, 12.0), terms, one[None], 0,
                       {"temperature_K": 300.0})  # fmt: skip


def random_weights(network, seed=0):
    """Of forces up to 150 kJ/mol/nm."""
    g = torch.Generator().manual_seed(seed)
    for value in network.parameters():
        draw = torch.randn(value.shape, generator=g) / value.shape[-1] ** 0.5
        value.data.copy_(draw)
    x = chains(200).float().requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x)
    last = list(network.parameters())[-2]
    last.data *= 150 / slope.abs().max()
    return {k: v.detach().clone().numpy() for k, v in network.named_parameters()}


@pytest.fixture
def model(small):
    ranges = distance_ranges(chains(200), TYPES)
    network = build(small, TYPES, ranges)
    members = tuple(random_weights(network, k) for k in range(3))
    return NeuralModel(prior(), small, TYPES, ranges.numpy(), members, {"note": 1.0})


def turn(seed):
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return torch.from_numpy(q * np.sign(np.linalg.det(q)))


def test_energies_do_not_depend_on_place_turn_or_names(model):
    x = chains(6)
    energy, forces = model.energy(x), model.forces(x)
    assert model.correction(x).std() > 0.3
    moved = x @ turn(1).T + torch.tensor([3.0, -2, 1], dtype=x.dtype)
    torch.testing.assert_close(model.energy(moved), energy, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.forces(moved), forces @ turn(1).T, rtol=0, atol=1e-6)
    order = [3, 2, 1, 0]  # ends are of one type, so are the others
    torch.testing.assert_close(model.energy(x[:, order]), energy, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        model.forces(x[:, order]), forces[:, order], rtol=0, atol=1e-6
    )
    other = [1, 0, 2, 3]
    assert (model.correction(x[:, other]) - model.correction(x)).abs().min() > 1e-3


def test_frames_do_not_see_each_other(model):
    x = chains(5)
    one = torch.cat([model.energy(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(model.energy(x), one, rtol=0, atol=1e-9)


def test_forces_are_slopes_and_sum_to_nothing(model):
    x, h = chains(3), 1e-5
    forces = model.forces(x)
    torch.testing.assert_close(
        forces.sum(1), torch.zeros(3, 3).double(), rtol=0, atol=1e-7
    )
    for bead, axis in ((0, 1), (2, 2)):
        step = torch.zeros_like(x)
        step[:, bead, axis] = h
        slope = (model.energy(x + step) - model.energy(x - step)) / (2 * h)
        torch.testing.assert_close(-slope, forces[:, bead, axis], rtol=1e-6, atol=1e-4)


def test_there_is_no_network_beyond_the_last(model):
    x = chains(2)
    each = [model.energy(x, replicate=k) for k in range(4)]
    torch.testing.assert_close(torch.stack(each[1:]).mean(0), each[0])
    with pytest.raises(IndexError):
        model.energy(x, replicate=4)


def test_single_precision_follows_double(model):
    x = chains(4)
    close = model.forces(x.float())
    assert close.dtype == torch.float32
    error = (close - model.forces(x)).abs().max()
    assert error < 2e-4 * model.forces(x).abs().max()


def test_far_from_the_data_it_is_the_prior(model):
    """Beyond the cut-off; of SchNet also closer than the data, and farther."""
    x = chains(4)
    alone = model.prior.forces(x)
    assert (model.forces(x) - alone).abs().max() > 10
    far = 4 * x  # beyond the cut-off
    torch.testing.assert_close(
        model.forces(far), model.prior.forces(far), rtol=0, atol=1e-6
    )
    if model.architecture.kind == "schnet":  # closer, and farther within the cut-off
        wide = replace(model, architecture=replace(model.architecture, cutoff=5.0))
        near = wide.correction_forces(x).abs().max()
        for scale in (0.1, 4):
            assert wide.correction_forces(scale * x).abs().max() < 2e-3 * near


def test_an_ensemble_is_its_mean_and_knows_its_spread(model):
    x = chains(4)
    each = torch.stack([model.forces(x, k) for k in (1, 2, 3)])
    torch.testing.assert_close(model.forces(x), each.mean(0), rtol=0, atol=1e-8)
    torch.testing.assert_close(model.spread(x), each.std(0), rtol=0, atol=1e-8)
    single = replace(model, members=model.members[:1])
    with pytest.raises(InputError, match="two at least"):
        single.spread(x)


def test_engines_run_it(model):
    """Tables of the prior and networks: the same forces, and the wanted temperature."""
    x = chains(60)
    tables = LinearForces(model.prior.terms, model.prior.parts(), 4, dtype=x.dtype)
    whole = NeuralForces(tables, model)
    torch.testing.assert_close(whole.forces(x), model.forces(x), rtol=1e-4, atol=1e-3)
    shift = whole.energy(x) - model.energy(x)
    torch.testing.assert_close(shift, shift[:1].expand(60), rtol=0, atol=1e-3)
    run = Langevin(whole, x, torch.full((4,), 12.0), temperature=300.0, friction=50.0,
                   step=0.004, seed=0)  # fmt: skip
    for _ in range(6):
        run.advance(5)
    temperature, error = run.kinetic_temperature()
    assert abs(temperature - 1) < 5 * error < 0.2
    assert not run.restarts.any()


def test_a_model_goes_through_its_file(model, tmp_path):
    path, x = tmp_path / "model.safetensors", chains(3)
    model.save(path)
    back = load_neural(path)
    assert torch.equal(back.forces(x), model.forces(x))
    assert torch.equal(back.spread(x), model.spread(x))
    assert (back.beads, back.validity) == (model.beads, {"note": 1.0})
    assert back.prior.validity == {"temperature_K": 300.0}
    with pytest.raises(SchemaError, match="a linear model"):
        load_linear(path)


@pytest.mark.parametrize("wrong", ["kind", "types", "weights", "architecture", "prior"])
def test_other_files_are_refused(model, tmp_path, wrong):
    path = tmp_path / "model.safetensors"
    model.save(path)
    header, tensors = read_model(path, "cg-model/1")
    if wrong == "kind":
        header["model"] = "linear"
    elif wrong == "types":
        header["types"].append(0)
    elif wrong == "weights":
        del tensors[next(k for k in tensors if k.startswith("1."))]
    elif wrong == "architecture":
        header["architecture"]["depth"] = 3
    else:
        del header["prior"]["terms"]
    del header["schema"]
    write_model(path, "cg-model/1", header, tensors)
    with pytest.raises(SchemaError, match="cg-model/1"):
        load_neural(path)


def truth(x):
    """What no prior of bonds has: a soft attraction of the ends, and of angles."""
    ends = (x[:, 3] - x[:, 0]).pow(2).sum(-1).sqrt()
    a, b = x[:, 0] - x[:, 1], x[:, 2] - x[:, 1]
    cosine = (a * b).sum(-1) / (a.pow(2).sum(-1) * b.pow(2).sum(-1)).sqrt()
    return 150 * (ends - 0.7) ** 2 + 40 * cosine**2


def labelled(n, seed, noise):
    x = chains(n, seed).requires_grad_()
    (slope,) = torch.autograd.grad(truth(x).sum(), x)
    x = x.detach()
    kick = np.random.default_rng(seed + 1).normal(size=x.shape) * noise
    return x, prior().forces(x) - slope + torch.from_numpy(kick)


def quick(a, **change):
    given = {"epochs": 8, "batch": 25, "learning_rate": 2e-2} | change
    return NeuralSettings(a, **given)


def test_training_finds_a_potential_through_noise(small):
    """Noise as large as the forces that are to be learned."""
    data, held_out, clean = (labelled(n, s, e) for n, s, e in
                             ((250, 0, 30.0), (100, 2, 30.0), (100, 4, 0.0)))  # fmt: skip
    fit = train(prior(), data, held_out, quick(small))
    x, forces = clean
    left = (forces - fit.model.forces(x)).pow(2).mean().sqrt()
    start = (forces - prior().forces(x)).pow(2).mean().sqrt()
    assert start > 25
    assert left < 0.5 * start
    curve = fit.curves[0]
    assert curve[0]["error"] > 1.15 * min(p["error"] for p in curve)
    note = fit.model.validity["networks"]
    assert note["held_out_force_rmse_kJ_mol_nm"][0] < note["prior_force_rmse_kJ_mol_nm"]


def test_what_is_only_noise_is_not_learned(small):
    x, y, rng = chains(50), chains(400, 1), np.random.default_rng(0)
    noise = (torch.from_numpy(300 * rng.normal(size=z.shape)) for z in (x, y))
    data = [(z, prior().forces(z) + n) for z, n in zip((x, y), noise, strict=True)]
    fit = train(prior(), *data, quick(small, epochs=40, patience=3))
    assert len(fit.curves[0]) < 30
    assert fit.model.correction_forces(y).pow(2).mean().sqrt() < 30


class Killed(Exception):
    pass


def test_a_killed_training_ends_bit_equal(small, tmp_path, monkeypatch):
    data, held_out = labelled(100, 0, 20.0), labelled(20, 2, 20.0)
    settings = quick(small, epochs=2, members=2)
    whole = train(prior(), data, held_out, settings)
    monkeypatch.setattr("mesobridge.coarse.neural_training.STORE_EVERY", 0.0)
    told = []

    def stop(done, total, text):
        told.append((done, total))
        if len(told) in (5, 11):
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            train(prior(), data, held_out, settings, tmp_path, stop)
    fit = train(prior(), data, held_out, settings, tmp_path, stop)
    assert told[-1] == (4, 4)
    assert len(told) == 16
    assert fit.curves == whole.curves
    for one, two in zip(fit.model.members, whole.model.members, strict=True):
        assert all(np.array_equal(one[k], two[k]) for k in two)
    first, second = fit.model.members
    assert any(not np.array_equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("wrong", ["shape", "nan", "few", "types"])
def test_bad_input_is_named(small, wrong):
    (x, f), settings = labelled(60, 0, 0.0), quick(small)
    if wrong == "shape":
        x, f = x[:, :3], f[:, :3]
    elif wrong == "nan":
        f[3, 1, 2] = math.nan
    elif wrong == "few":
        x, f = x[:20], f[:20]
    else:
        settings = replace(settings, types=(0, 2, 2, 0))
    with pytest.raises(InputError, match="wanted"):
        train(prior(), (x, f), (x, f), settings)


def test_sizes_are_checked():
    with pytest.raises(InputError, match="schnet or painn"):
        Architecture("dimenet")
    with pytest.raises(InputError, match="above zero"):
        Architecture("painn", layers=0)


GRID = np.linspace(0.25, 0.75, 2001)


def dimers(r):
    x = torch.zeros(len(r), 2, 3, dtype=torch.float64)
    x[:, 1, 0] = torch.as_tensor(r)
    return x


def density(energy):
    """Of distances, with the volume of their shell."""
    p = GRID**2 * np.exp(-(energy - energy.min()) / KT)
    return p / p.sum()


def draw(p, n, rng):
    """Exact samples by inversion."""
    return np.interp(rng.uniform(size=n), np.cumsum(p), GRID)


def own(model):
    with torch.no_grad():
        return density(model.energy(dimers(GRID)).numpy())


def dimer_model(a, r):
    one = prior((Bonded("bond", "distance", ((0, 1),), Spline(0.2, 0.8, 8)),), 2)
    ranges = distance_ranges(dimers(r), (0, 0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(a, (0, 0), ranges)
    weights = {k: v.detach().numpy() for k, v in network.named_parameters()}
    return NeuralModel(one, a, (0, 0), ranges.numpy(), (weights,), {})


def relative_entropy(p, q):
    return float((p * np.log(p / q)).sum())


def test_configurations_alone_lead_to_the_distribution_of_a_dimer(small):
    """Two wells that the prior, one spring, does not have."""
    rng, wells = np.random.default_rng(0), 6 * np.cos(4 * np.pi * (GRID - 0.3) / 0.4)
    target = density(120 * (GRID - 0.5) ** 2 + wells)
    r = draw(target, 600, rng)
    model = dimer_model(small, r)
    begin = relative_entropy(target, own(model))
    for _ in range(8):
        sampled = dimers(draw(own(model), 400, rng))
        found = refine_neural(model, sampled, dimers(r), KT, steps=12, learning_rate=1e-2)
        assert found.n_eff >= 0.5
        assert found.entropy <= 0.02
        model = found.model
    assert begin > 0.2
    assert relative_entropy(target, own(model)) < 0.1 * begin


def test_samples_that_do_not_reach_stop_it(small):
    rng = np.random.default_rng(1)
    r = 0.35 + 0.01 * rng.normal(size=300)
    model = dimer_model(small, np.array([0.3, 0.6]))
    sampled = dimers(draw(own(model), 500, rng))
    found = refine_neural(model, sampled, dimers(r), KT, steps=200, learning_rate=2e-2)
    assert 0 < found.steps < 200
    assert 0.5 <= found.n_eff < 0.9
    assert found.entropy < -0.05


def test_forces_join_the_configurations(small):
    """With little noise they decide where no configuration is."""
    rng = np.random.default_rng(2)
    r = rng.uniform(0.35, 0.55, 100)
    model, x = dimer_model(small, r), dimers(r)
    constant = torch.tensor([[30.0, 0, 0], [-30, 0, 0]]).double()
    pull, found = model.prior.forces(x) + constant, model
    for _ in range(4):
        sampled = dimers(draw(own(found), 200, rng))
        found = refine_neural(
            found, sampled, x, KT, forces=(pull, 3.0), independent=3,
            steps=20, learning_rate=1e-2,
        ).model  # fmt: skip
    error = (pull - found.forces(x)).pow(2).mean().sqrt()
    assert error < 0.3 * (pull - model.forces(x)).pow(2).mean().sqrt()
