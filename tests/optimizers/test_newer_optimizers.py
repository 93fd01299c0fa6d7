"""Lion, SOAP and schedule-free AdamW equal, step by step, what their papers and official codes say."""

import torch
from torch.nn import Parameter

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.optimizers.joint import averaging
from mtlsweep.params.choice import Choice

torch.set_num_threads(1)
RATE, DECAY = 0.05, 0.1
TARGET = torch.linspace(-2, 2, 12).view(4, 3)


def gradient(place, step):
    """Return the gradient of a bowl with a random tilt at `place`."""
    return (place - TARGET) + torch.randn(4, 3, generator=torch.Generator().manual_seed(step))


def walk(name, steps=25, **options):
    """Return where an optimizer trains after each step, and the optimizer."""
    parameter = Parameter(torch.ones(4, 3))
    optimizer = OPTIMIZERS.create(Choice(name=name, options={"weight_decay": DECAY, **options}), [parameter], RATE)
    for each in averaging([optimizer]):
        each.train()
    places = []
    for step in range(steps):
        parameter.grad = gradient(parameter.detach(), step)
        optimizer.step()
        places.append(parameter.detach().clone())
    return places, parameter, optimizer


def test_lion():
    place, average, expected = torch.ones(4, 3), torch.zeros(4, 3), []
    for step in range(25):
        found = gradient(place, step)
        direction = (0.9 * average + 0.1 * found).sign()
        place = place - RATE * (direction + DECAY * place)
        average = 0.99 * average + 0.01 * found
        expected.append(place)
    torch.testing.assert_close(walk("lion")[0], expected, rtol=1e-5, atol=1e-5)


def test_schedule_free_adamw():
    x = z = y = torch.ones(4, 3)
    square, expected = torch.zeros(4, 3), []
    for step in range(1, 26):
        found = gradient(y, step - 1)
        square = 0.999 * square + 0.001 * found**2
        z = z - RATE * (found / ((square / (1 - 0.999**step)).sqrt() + 1e-8) + DECAY * y)
        x = x + (z - x) / step
        y = 0.9 * x + 0.1 * z
        expected.append(y)
    places, parameter, optimizer = walk("schedule_free")
    torch.testing.assert_close(places, expected, rtol=1e-4, atol=1e-5)
    (modes,) = averaging([optimizer])
    modes.eval()
    torch.testing.assert_close(parameter.detach(), x, rtol=1e-4, atol=1e-5)
    modes.train()
    torch.testing.assert_close(parameter.detach(), y, rtol=1e-4, atol=1e-5)


def eigenbasis(statistics):
    return torch.linalg.eigh(statistics + 1e-30 * torch.eye(len(statistics)))[1].flip(1)


def next_basis(statistics, basis, moments, side):
    """Return the basis after one power iteration, and the second moments in its order of axes."""
    order = (basis * (statistics @ basis)).sum(0).argsort(descending=True)
    turned = torch.linalg.qr(statistics @ basis[:, order])[0]
    return turned, moments.index_select(side, order)


def test_soap():
    place, first, second, expected = torch.ones(4, 3), torch.zeros(4, 3), torch.zeros(4, 3), []
    rows, columns = torch.zeros(4, 4), torch.zeros(3, 3)
    left = right = torch.empty(0)
    for step in range(25):
        found = gradient(place, step)
        if step > 0:
            first = 0.95 * first + 0.05 * found
            second = 0.95 * second + 0.05 * (left.T @ found @ right) ** 2
            turned = (left.T @ first @ right) / (second.sqrt() + 1e-8)
            size = RATE * (1 - 0.95**step) ** 0.5 / (1 - 0.95**step)
            place = (place - size * left @ turned @ right.T) * (1 - RATE * DECAY)
        rows, columns = 0.95 * rows + 0.05 * found @ found.T, 0.95 * columns + 0.05 * found.T @ found
        if step == 0:
            left, right = eigenbasis(rows), eigenbasis(columns)
        elif step % 4 == 0:
            left, second = next_basis(rows, left, second, 0)
            right, second = next_basis(columns, right, second, 1)
        expected.append(place)
    torch.testing.assert_close(walk("soap", frequency=4)[0], expected, rtol=1e-3, atol=1e-4)
