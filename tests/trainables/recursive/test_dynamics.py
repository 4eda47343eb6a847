"""Lyapunov exponents of maps whose exponents are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainables.recursive.dynamics import lyapunov

WIDTH, TOKENS, BOARDS = 8, 5, 3
State = tuple[Tensor, ...]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(1), dtype=torch.float64)


WEIGHTS = 0.5 * drawn(3, WIDTH, WIDTH)


def attention(z: Tensor) -> Tensor:
    """A block of attention with its norm, z [boards, tokens, width]."""
    q, k, v = (
        functional.linear(z, weight).reshape(*z.shape[:2], 2, -1).transpose(1, 2) for weight in WEIGHTS.to(z.dtype)
    )
    mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return functional.rms_norm(z + mixed, (WIDTH,))


def exact(z: Tensor, segments: int) -> Tensor:
    """ln(singular values) of each board's whole Jacobian under `attention`, a segment; [boards, numbers]."""

    def orbit(board: Tensor) -> Tensor:
        board = board.unsqueeze(0)
        for _ in range(segments):
            board = attention(board)
        return board[0]

    with sdpa_kernel(SDPBackend.MATH):
        jacobians = [torch.func.jacrev(orbit)(board).reshape(board.numel(), -1) for board in z]
    values: Tensor = torch.linalg.svdvals(torch.stack(jacobians))
    return values.log() / segments


def test_diagonal() -> None:
    sizes = torch.tensor([0.5, -2.0, 0.1], dtype=torch.float64)
    found = lyapunov(lambda z: z * sizes, drawn(4, 3), 40, 3, generator())
    assert found.dtype == torch.float64
    expected = torch.tensor([2.0, 0.5, 0.1], dtype=torch.float64).log().expand(4, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_rotation() -> None:
    """Scaled by 1.3: the only singular value, in every direction and from the first segment on."""
    c, s = math.cos(0.7), math.sin(0.7)
    turn = 1.3 * torch.tensor([[c, s], [-s, c]], dtype=torch.float64)
    found = lyapunov(lambda z: z @ turn, drawn(4, 2), 1, 2, generator(), turns=0)
    torch.testing.assert_close(found, torch.full_like(found, math.log(1.3)), rtol=0, atol=1e-12)


def test_logistic_map() -> None:
    """ln 2 at r = 4; a board is a single number, drawn from the invariant density."""
    start = torch.sin(math.pi / 2 * torch.rand(256, generator=generator(1), dtype=torch.float64)) ** 2
    found = lyapunov(lambda z: 4 * z * (1 - z), start, 200, 1, generator(), turns=0)
    assert found.shape == (256, 1)
    assert float(found.mean()) == pytest.approx(math.log(2), abs=2e-3)


def test_henon_map() -> None:
    """0.419 and -1.623 at a = 1.4, b = 0.3, whose sum is ln b at every point; z is a pair."""

    def henon(z: State) -> State:
        x, y = z
        return 1 - 1.4 * x * x + y, 0.3 * x

    x, y = 0.2 * torch.rand(2, 256, 1, generator=generator(1), dtype=torch.float64)
    found = lyapunov(henon, (x, y), 300, 2, generator(), turns=0)
    assert found.mean(0).tolist() == pytest.approx([0.419, -1.623], abs=5e-3)
    torch.testing.assert_close(found.sum(-1), torch.full_like(found[:, 0], math.log(0.3)), rtol=0, atol=1e-10)


def test_attention() -> None:
    """Turning the tangents approaches the singular values of a short orbit, which random tangents miss by far."""
    z, segments = drawn(BOARDS, TOKENS, WIDTH), 4
    expected = exact(z, segments)[:, :2]
    error = [
        float((lyapunov(attention, z, segments, 2, generator(), turns=turns) - expected).abs().max())
        for turns in (0, 1, 30)
    ]
    assert error[0] > 0.2
    assert error[1] < error[0] / 3
    assert error[2] < 1e-6


def test_attention_in_float32() -> None:
    z, segments = drawn(BOARDS, TOKENS, WIDTH).float(), 4
    found = lyapunov(attention, z, segments, 2, generator(), turns=30)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact(z.double(), segments)[:, :2].float(), rtol=0, atol=1e-4)


def test_boards_do_not_depend_on_one_another() -> None:
    """Those of a pair of independent halves are the exponents of both; the order of boards is that of the argument."""
    z = drawn(BOARDS, TOKENS, WIDTH)
    expected = exact(z, 3)
    swapped = z.flip(0)
    found = lyapunov(lambda pair: (attention(pair[0]), attention(pair[1])), (z, swapped), 3, 2, generator(), turns=30)
    merged = torch.cat([expected, expected.flip(0)], dim=1).sort(dim=1, descending=True).values
    torch.testing.assert_close(found, merged[:, :2], rtol=0, atol=1e-3)
    assert float((expected[0, 0] - expected[1, 0]).abs()) > 1e-2


def test_the_same_seed_gives_the_same_numbers() -> None:
    z = drawn(BOARDS, TOKENS, WIDTH)
    one, two, other = (lyapunov(attention, z, 2, 2, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_gradients_that_a_model_stops_do_not_stop_tangents() -> None:
    """Without turns, which need the transposed Jacobian."""
    z = drawn(BOARDS, TOKENS, WIDTH)

    @torch.no_grad()
    def stopped(state: Tensor) -> Tensor:
        return attention(state)

    assert torch.equal(*(lyapunov(f, z, 3, 2, generator(), turns=0) for f in (stopped, attention)))


def test_no_graph_is_kept() -> None:
    weight = torch.ones(3, requires_grad=True)
    assert not lyapunov(lambda z: weight * z, torch.ones(2, 3), 2, 1, generator()).requires_grad


def test_detached_maps_are_refused() -> None:
    pair = (torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="independent"):
        lyapunov(lambda z: (2 * z[0], z[1].detach()), pair, 2, 1, generator())


def test_a_map_that_forgets() -> None:
    found = lyapunov(lambda z: 0 * z, torch.ones(2, 3), 2, 3, generator())
    assert found.isfinite().all()
    assert float(found.max()) < -80


@pytest.mark.parametrize(
    ("values", "said"), [((2, 4, 0), "count"), ((2, 0, 0), "count"), ((0, 1, 0), "segments"), ((2, 1, -1), "segments")]
)
def test_what_cannot_be_asked(values: tuple[int, int, int], said: str) -> None:
    segments, count, turns = values
    with pytest.raises(ValueError, match=f"^{said}: "):
        lyapunov(lambda z: z, torch.ones(2, 3), segments, count, generator(), turns)
