"""Recover a known graph: a world, pairs of its cells, a transformer, and the graph read out of what it learnt.

About 12 seconds on one core.
"""

import numpy as np

from diagnostics import invert_total, levels_of, losses_of, score_graph, single_gene_response
from gpcp import FitConfig, GenePerturbationTransformer, ModelPredictor, concatenate, fit, preset
from simulators import SimulatedPairs, bayes, world

N_STEPS, BATCH = 250, 128


def main() -> None:
    print(__doc__)
    # A world is a name and a seed: 8 genes on a scale-free graph, each a linear function of its parents and noise.
    known = world("scale_free/8", seed=0)
    print(f"{known.name}: {known.graph.n_edges} edges among {known.graph.n_genes} genes")

    # A pair is a cell, what is done to some of its genes, and a cell after: here another cell, of fresh noise.
    pairs = SimulatedPairs(scm=known.scm, regime="interventional", n_pairs=N_STEPS * BATCH)
    unseen = SimulatedPairs(scm=known.scm, regime="interventional", n_pairs=3000)
    held_out = concatenate(unseen.pairs(batch_size=3000, seed=999))

    model = GenePerturbationTransformer(preset("default", known.graph.n_genes))
    fit(model, pairs, FitConfig(n_steps=N_STEPS, batch_size=BATCH))
    predictor = ModelPredictor(model, known.graph.vocab)

    # A loss is read between an input-free baseline and the Bayes risk, the loss of the exact answer.
    loss = losses_of(predictor, held_out).loss
    exact = bayes(known.scm, "interventional", held_out)
    levels = levels_of(held_out, held_out, exact=exact, ridge_on=None)
    between = f"the baseline's {levels.baseline:.4f} and the Bayes risk {levels.bayes_risk:.4f}"
    print(f"loss {loss:.4f} between {between}: skill {levels.skill(loss):.3f}")

    # Ask the model what one gene does to all others: total effects. Inverted, they are the direct edges.
    total_GG = single_gene_response(predictor, held_out.before_BG[:32], dose=2.0)
    direct_GG = invert_total(total_GG)
    for name, effect_GG in (("total effects", total_GG), ("inverted", direct_GG)):
        score = score_graph(effect_GG, known.graph, "direct", threshold=0.1, rng=np.random.default_rng(0))
        print(
            f"{name}: AUPRC of direct edges {score.auprc:.3f} (chance {score.base_rate:.2f}, 95 % below "
            f"{score.null_95:.2f}), structural Hamming distance {score.shd}"
        )


if __name__ == "__main__":
    main()
