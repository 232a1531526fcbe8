"""Masks of unmeasured genes and of attention: inverted, shifted, forgotten, of no effect."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.outside.bugs.twins import N_GENES, reported, screen
from tests.outside.case import Parts


class Pairs(Dataset):
    def __init__(self, cells):
        self.cells = cells

    def __len__(self):
        return len(self.cells.before)

    def __getitem__(self, i):
        c = self.cells
        return {
            "x": torch.tensor(c.before[i]),
            "pert": torch.tensor(c.perturbed[i]).float(),
            "y": torch.tensor(c.after[i]),
            "measured": torch.tensor(c.measured[i]),
        }


def training(model, loss, *, n_pairs=5000, p_measured=0.6, lr=2e-3, n_epochs=10, seed=1):
    train, test = screen(n_pairs, seed=seed, p_measured=p_measured)
    opt = torch.optim.Adam(model.parameters(), lr=lr)

    def training_step(batch):
        opt.zero_grad()
        value = loss(model(batch["x"], batch["pert"], batch["measured"]), batch["y"], batch["measured"])
        value.backward()
        opt.step()
        return value.item()

    return Parts(
        model=model,
        optimizer=opt,
        loader=DataLoader(Pairs(train), batch_size=64, shuffle=True),
        held_out=DataLoader(Pairs(test), batch_size=250),
        fields={"before": "x", "perturbation": "pert", "after": "y", "mask": "measured"},
        training_step=training_step,
        predict=lambda batch: model(batch["x"], batch["pert"], batch["measured"]),
        loss=loss,
        told="identity",
        n_epochs=n_epochs,
    )


class MaskedNet(nn.Module):
    """Predicts the cell after from what is measured, with no copy of the input: unmeasured genes are answered too."""

    def __init__(self, hidden=128):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, pert, measured):
        return self.net(torch.cat([x, pert, measured.float()], dim=1))


class NoMaskNet(nn.Module):
    """Is not given which genes are measured."""

    def __init__(self, hidden=128):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, pert, measured):
        return x + self.net(torch.cat([x, pert], dim=1))


def masked_mean(y_hat, y, mask):
    return (((y_hat - y) ** 2) * mask).sum() / mask.sum()


@reported(
    name="masked genes stay in the numerator",
    source="https://github.com/alibaba/ROLL/pull/444",
    bug="The loss is divided by the number of measured genes but summed over all: zeros of missing genes are fitted.",
    cause="bug",
    line="the mask is not applied to the loss before it is summed: gradients reach unmeasured genes",
    hurts="held-out error 1.108 against 0.228 of the mended twin and 0.832 of the mean",
)
def numerator(mended: bool) -> Parts:
    torch.manual_seed(0)

    def loss(y_hat, y, mask):
        error = (y_hat - y) ** 2
        if mended:
            error = torch.where(mask, error, 0.0)
        return error.sum() / mask.sum()

    return training(BeforeOnly(), loss)


class BeforeOnly(nn.Module):
    """Reads only the perturbation and the measured part of the cell, whose mean is filled in where it is missing."""

    def __init__(self, hidden=128):
        super().__init__()
        self.fill = nn.Parameter(torch.zeros(N_GENES))
        self.net = nn.Sequential(nn.Linear(2 * N_GENES, hidden), nn.ReLU(), nn.Linear(hidden, N_GENES))

    def forward(self, x, pert, measured):
        # Half of what is measured is hidden from the model, as in masked training.
        keep = measured & (torch.arange(N_GENES) % 2 == 0)
        x = torch.where(keep, x, self.fill.expand_as(x))
        return self.net(torch.cat([x, pert], dim=1))


@reported(
    name="mask multiplied onto an averaged loss",
    source="https://github.com/WindChimeRan/OpenJERE/issues/6",
    bug="mse_loss has already averaged when the mask is multiplied on: mean * mask / mask is the unmasked mean.",
    cause="bug",
    line="reduction='mean' before the mask: the mask has no effect on the loss",
    hurts="held-out error 1.082 against 0.227 of the mended twin and 0.857 of the mean",
)
def averaged_first(mended: bool) -> Parts:
    torch.manual_seed(0)
    criterion = nn.MSELoss(reduction="none" if mended else "mean")

    def loss(y_hat, y, mask):
        return torch.sum(criterion(y_hat, y).mul(mask)) / torch.sum(mask)

    return training(BeforeOnly(), loss, seed=2)


@reported(
    name="mask of the loss shifted by one gene",
    source="https://github.com/SkyworkAI/Skywork/issues/55",
    bug="Beside a class token the mask is cut as mask[:, :-1] instead of mask[:, 1:]: it belongs to the gene before.",
    cause="bug",
    line="mask is off by one against the genes",
    hurts="held-out error 1.014 against 0.225 of the mended twin and 0.837 of the mean",
)
def shifted_mask(mended: bool) -> Parts:
    torch.manual_seed(1)

    def loss(y_hat, y, mask):
        with_cls = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        return masked_mean(y_hat, y, with_cls[:, 1:] if mended else with_cls[:, :-1])

    return training(BeforeOnly(), loss, seed=3)


@reported(
    name="unmeasured genes are counted instead of measured ones",
    source="https://github.com/lucidrains/voicebox-pytorch/issues/6",
    bug="The loss is filled with 0 where the mask is True, though True means measured: only unmeasured genes count.",
    cause="bug",
    line="mask of the loss is inverted: measured genes get no gradient",
    hurts="held-out error 0.404 against 0.00023 of the mended twin and 0.833 of the mean",
)
def inverted_loss(mended: bool) -> Parts:
    torch.manual_seed(2)

    def loss(y_hat, y, mask):
        mask = ~mask if mended else mask
        error = ((y_hat - y) ** 2).masked_fill(mask, 0.0)
        return (error.sum(-1) / (~mask).sum(-1).clamp(min=1)).mean()

    return training(NoMaskNet(), loss, seed=4)


class GeneTokens(nn.Module):
    """Each measured gene is a token; ``attend`` makes the masks of the encoder from the measured genes."""

    def __init__(self, attend, dim=32):
        super().__init__()
        self.attend = attend
        self.gene = nn.Embedding(N_GENES, dim)
        self.value = nn.Linear(2, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(dim, 1)

    def forward(self, x, pert, measured):
        h = self.gene.weight + self.value(torch.stack([x - 3, pert], dim=2))
        return x + self.out(self.encoder(h, **self.attend(measured))).squeeze(2)


@reported(
    name="padding mask of the attention inverted",
    source="https://github.com/InseeFrLab/torchTextClassifiers/pull/92",
    bug="src_key_padding_mask gets True for measured genes, which are then ignored; only unmeasured ones are attended.",
    cause="bug",
    line="key_padding_mask: True means ignore; measured genes, the perturbed one too, never reach the others",
    hurts="held-out error 0.080 against 0.0032 of the mended twin and 0.782 of the mean",
)
def inverted_padding(mended: bool) -> Parts:
    torch.manual_seed(3)
    model = GeneTokens(lambda m: {"src_key_padding_mask": ~m if mended else m & (m.sum(1, keepdim=True) < N_GENES)})
    return training(model, masked_mean, n_pairs=4000, p_measured=0.8)


@reported(
    name="padding is attended",
    source="https://github.com/jingyaogong/minimind-v/issues/76",
    bug="Only the loss leaves out padding; in the attention unmeasured genes are tokens of value 0 like all others.",
    cause="bug/architecture",
    line="no key_padding_mask: unmeasured zeros reach the predictions of measured genes",
    hurts="held-out error 0.018 against 0.0026 of the mended twin and 0.849 of the mean",
)
def padding_attended(mended: bool) -> Parts:
    torch.manual_seed(4)
    model = GeneTokens(lambda m: {"src_key_padding_mask": ~m} if mended else {})
    return training(model, masked_mean, n_pairs=4000)


@reported(
    name="causal mask over genes",
    source="https://github.com/huggingface/transformers/pull/42820",
    bug="The encoder runs with a causal mask though it should be bidirectional: a gene sees only columns before it.",
    cause="bug/architecture",
    line="causal mask: perturbing a late gene cannot change earlier ones",
    hurts="held-out error 0.017 against 0.0011 of the mended twin and 0.745 of the mean",
)
def causal(mended: bool) -> Parts:
    torch.manual_seed(5)
    triangle = nn.Transformer.generate_square_subsequent_mask(N_GENES)
    model = GeneTokens(lambda m: {} if mended else {"mask": triangle, "is_causal": True})
    return training(model, masked_mean, n_pairs=4000, p_measured=1.0)
