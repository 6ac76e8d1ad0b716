"""The whole interface, without a base class: a policy learns by trial to stop a cart at 0.

pbtnas task check examples/own_interface.py:Carts
"""

import torch
from torch import Generator, Tensor, nn

from pbtnas.search import Architecture, SearchSpace, Variable, switch
from pbtnas.search.seeding import derive
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation, State
from pbtnas.tasks.members import fill
from pbtnas.tasks.moments import load_moments, moments

CARTS, STEPS, UPDATES = 64, 10, 20  # carts of an episode, its steps, and episodes of an epoch


class Carts:
    space = SearchSpace([Variable("size", (4, 8, 16), ("0", "2")), switch("act", ("ReLU", "Tanh"))])

    def prepare(self, run: Preparation) -> None: ...  # there are no data to get

    def create(self, architecture: Architecture, seed: int) -> "Driver":
        size, act = self.space.decode(architecture).values()
        with torch.random.fork_rng(devices=[]):  # the numbers that others draw stay the same
            torch.manual_seed(seed)
            return Driver(nn.Sequential(nn.Linear(2, size), getattr(nn, act)(), nn.Linear(size, 1)))


class Driver:
    def __init__(self, policy: nn.Module) -> None:
        self.policy, self.weights = policy, dict(policy.named_parameters())
        self.adam = torch.optim.Adam(policy.parameters(), lr=1e-2)
        self.played = 0  # episodes of this member's life, and of its bases' before

    def move(self, device: str) -> None:
        kept = moments(self.adam, self.weights)
        self.policy.to(device)
        load_moments(self.adam, self.weights, kept)  # to the device of their parameters

    def play(self, chance: Generator, noise: float) -> tuple[Tensor, Tensor]:
        """An episode: returns [carts], and the log-likelihood of what was done, but for scale."""
        at, speed = torch.randn(2, CARTS, generator=chance).to(self.weights["0.weight"])
        returns = likelihood = torch.zeros_like(at)
        for _ in range(STEPS):
            mean = self.policy(torch.stack([at, speed], dim=1))[:, 0]
            push = (mean + noise * torch.randn(CARTS, generator=chance).to(at)).detach()
            likelihood = likelihood - (push - mean).square()
            at, speed = at + 0.2 * speed, speed + 0.2 * push.clamp(-2, 2)
            returns = returns - at.square() / STEPS
        return returns, likelihood

    def train(self, epochs: int, context: Context) -> None:
        self.move(context.device)
        for step in range(context.done, epochs * UPDATES):  # behind what is done already
            chance = Generator().manual_seed(derive(context.seed, "episode", step))
            returns, likelihood = self.play(chance, noise=max(0.1, 0.5 - self.played / 1000))
            loss = -((returns - returns.mean()) * likelihood).mean()
            if not loss.isfinite():
                raise Diverged(f"the loss is {loss.item()} at step {step + 1} of this job")
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()
            self.played += 1
            context.tick(step + 1)  # from here on, state() includes this step

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        self.move(context.device)
        returns, _ = self.play(Generator().manual_seed(derive(context.seed, "score")), noise=0.0)
        return Evaluation(returns.mean().item(), {"worst": returns.min().item()})

    def state(self) -> State:
        live = {name: weight.detach() for name, weight in self.weights.items()}
        return State(live, optimizer=moments(self.adam, self.weights), info={"played": self.played})

    def load(self, state: State) -> None:
        fill("live", self.weights, state.live)  # or raises ValueError with the name of a tensor
        load_moments(self.adam, self.weights, state.optimizer)
        self.played = state.info["played"]
