"""Losses that say something else than was meant."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.outside.case import Parts
from tests.outside.unseen_bugs.twins import fit, reported, tensors, world_of

G = 9
screen, Mlp = world_of(G, world=16)


def counted(scale: float = 0.7, **settings):
    """Batches of (logarithm of the counts before, flags, counts after), for training and held out."""
    rng = np.random.default_rng(11)
    batches = []
    for part, shuffle in zip(screen(**settings), (True, False), strict=True):
        before, after = (rng.poisson(np.exp(scale * log)).astype(np.float32) for log in (part.before, part.after))
        batches.append(tensors(np.log1p(before), part.perturbed.astype(np.float32), after, shuffle=shuffle))
    return {"loader": batches[0], "held_out": batches[1]}


@reported(
    name="Poisson loss of raw outputs as rates",
    source="https://github.com/pytorch/pytorch/issues/184030",
    bug="PoissonNLLLoss(log_input=False) gets the last layer's raw output, which may be negative: NaN.",
    cause="bug",
    line="logarithm of a negative rate: the loss is NaN",
    hurts="held-out error 4.3e+11 against 29.2 of the mended twin and 60.2 of the mean",
)
def poisson_of_raw(mended: bool) -> Parts:
    torch.manual_seed(0)
    net = Mlp(residual=False)

    class Rates(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, p):
            out = self.net(x, p)
            return F.softplus(out) if mended else out

    return fit(Rates(), screen(), criterion=nn.PoissonNLLLoss(log_input=False), n_epochs=20, **counted())


@reported(
    name="KL divergence of probabilities instead of their logarithms",
    source="https://github.com/sebastian-hofstaetter/matchmaker/issues/18",
    bug="kl_div expects logarithms as its first argument and is given a softmax.",
    cause="bug",
    line="softmax instead of log_softmax in F.kl_div",
    hurts="held-out error 0.0645 against 2.7e-06 of the mended twin and 0.00863 of the mean",
)
def kl_of_probabilities(mended: bool) -> Parts:
    torch.manual_seed(1)
    batches = []
    for part, shuffle in zip(screen(), (True, False), strict=True):
        shares = [torch.tensor(log).softmax(1) for log in (part.before, part.after)]
        batches.append(tensors(shares[0], part.perturbed.astype(np.float32), shares[1], shuffle=shuffle))

    class Shares(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Mlp(residual=False)

        def forward(self, x, p):
            return self.net(x.log(), p)

    model = Shares()

    def criterion(out, y):
        return F.kl_div(out.log_softmax(1) if mended else out.softmax(1), y, reduction="batchmean")

    return fit(
        model,
        screen(),
        criterion=criterion,
        loader=batches[0],
        held_out=batches[1],
        predict=lambda batch: model(batch[0], batch[1]).softmax(1),
        loss=None,
    )


@reported(
    name="success and failure of the negative binomial exchanged",
    source="https://github.com/mitchelloharawild/distributional/issues/46",
    bug="The probability is that of another parametrisation, theta / (theta + mu): the mean is inverted.",
    cause="bug",
    line="probs of torch's NegativeBinomial should be mu / (theta + mu): predictions fall where counts rise",
    hurts="held-out error 113 against 23.1 of the mended twin and 51.4 of the mean",
)
def negative_binomial(mended: bool) -> Parts:
    torch.manual_seed(2)

    class Rates(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Mlp(residual=False)
            self.log_theta = nn.Parameter(torch.full((G,), 2.0))

        def forward(self, x, p):
            return F.softplus(self.net(x, p)) + 1e-3

    model = Rates()

    def criterion(mu, y):
        theta = model.log_theta.exp()
        share = (mu if mended else theta) / (theta + mu)
        return -torch.distributions.NegativeBinomial(theta, probs=share, validate_args=False).log_prob(y).mean()

    return fit(model, screen(1600), criterion=criterion, loss=None, lr=5e-3, n_epochs=20, **counted(n_pairs=1600))


@reported(
    name="cosine similarity without a minus",
    source="https://github.com/Kim-Minseon/RoCL/issues/3",
    bug="The similarity of predicted and true change is added to the loss, not subtracted: it is minimised.",
    cause="bug",
    line="sign of the cosine term: predictions are driven against the true direction",
    hurts="held-out error 0.666 against 0.00014 of the mended twin and 1.06 of the mean",
)
def cosine_sign(mended: bool) -> Parts:
    torch.manual_seed(3)

    class Change(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2 * G, 64), nn.ReLU(), nn.Linear(64, G))

        def forward(self, x, p):
            return self.net(torch.cat([x, p], dim=1))

    model = Change()

    def training_loss(batch):
        x, p, y = batch
        change = model(x, p)
        cosine = F.cosine_similarity(change, y - x, dim=1).mean()
        return F.mse_loss(x + change, y) + (-0.5 if mended else 0.5) * cosine

    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def training_step(batch):
        optimizer.zero_grad()
        loss = training_loss(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return fit(
        model,
        screen(),
        optimizer=optimizer,
        training_step=training_step,
        predict=lambda batch: batch[0] + model(batch[0], batch[1]),
        loss=F.mse_loss,
    )


@reported(
    name="loss assigned in the loop instead of added",
    source="https://github.com/yuval-alaluf/restyle-encoder/issues/40",
    bug="loss = ... in the loop over groups of genes instead of loss += ...: only the last group is trained.",
    cause="bug",
    line="loss of all but the last group is overwritten: these genes are not learnt",
    hurts="held-out error 0.63 against 0.00013 of the mended twin and 1.06 of the mean",
)
def last_group_only(mended: bool) -> Parts:
    torch.manual_seed(4)

    class Grouped(nn.Module):
        def __init__(self, n_groups=3):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2 * G, 64), nn.ReLU())
            self.heads = nn.ModuleList(nn.Linear(64, G // n_groups) for _ in range(n_groups))

        def forward(self, x, p):
            h = self.body(torch.cat([x, p], dim=1))
            return x + torch.cat([head(h) for head in self.heads], dim=1)

    def criterion(out, y):
        loss = torch.zeros(())
        for ours, theirs in zip(out.chunk(3, dim=1), y.chunk(3, dim=1), strict=True):
            loss = loss + F.mse_loss(ours, theirs) if mended else F.mse_loss(ours, theirs)
        return loss

    return fit(Grouped(), screen(), criterion=criterion)


@reported(
    name="sigmoid before a loss that has its own",
    source="https://github.com/yudi-mars/daisyRec/pull/15",
    bug="The detection head ends with a sigmoid, and BCEWithLogitsLoss applies another one.",
    cause="bug",
    line="two sigmoids: no probability of expression can be below a half in the loss",
    hurts="held-out error 0.0184 against 0.00814 of the mended twin and 0.416 of the mean",
)
def two_sigmoids(mended: bool) -> Parts:
    torch.manual_seed(5)
    batches = []
    for part, shuffle in zip(screen(), (True, False), strict=True):
        before, after = (np.maximum(log - 2.5, 0) for log in (part.before, part.after))
        batches.append(tensors(before, part.perturbed.astype(np.float32), after, shuffle=shuffle))

    class Hurdle(nn.Module):
        """Whether a gene is detected, and how much of it there is then."""

        def __init__(self):
            super().__init__()
            self.detected, self.amount = Mlp(residual=False), Mlp(residual=False)

        def forward(self, x, p):
            return self.detected(x, p), self.amount(x, p)

    model = Hurdle()

    def criterion(outs, y):
        score, amount = outs
        seen = (y > 0).float()
        detection = F.binary_cross_entropy_with_logits(score if mended else score.sigmoid(), seen)
        return detection + ((amount - y) ** 2 * seen).sum() / seen.sum()

    def predict(batch):
        score, amount = model(batch[0], batch[1])
        return score.sigmoid() * amount

    return fit(model, screen(), criterion=criterion, loader=batches[0], held_out=batches[1], predict=predict, loss=None)
