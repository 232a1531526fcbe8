r"""gpcp, the Gene Perturbation Correlate Predictor: a synthetic-first testbed that says why a model does not learn.

One question decides every choice: when a transformer on gene-perturbation data does not learn, is it the data,
the optimiser, the architecture, or a bug, and what is the most that could have been learnt?

The house. Nothing imports upwards, neither between the packages nor between the floors of one::

               examples                              tests
                       \                            /
    diagnostics   4    recover_graph  benchmark                        the commands
                  3    recovery                                        one run, from data to scores
                  2    runs  progress  tables  figures  verdicts       many runs, and what a person sees
                  1    losses  ridge  loss_baselines  baselines        what is measured, beside what
                       forests_and_covariances  rankings               others would get from the same pairs
                       graph_scores  readouts  readings  oracles
                  0    result  report  record  settings                values
                      /                               \
    simulators                              gpcp, upper floors
      2  assay  sources  worlds               3  loss  prediction      torch
      1  laws  conditioning  equations           training
         monte_carlo  particles               2  seeding  batches      torch
         quadrature  bayes                       attention  embedding
      0  randomness  regimes  graphs             queries  heads
         networks  noises  mechanisms            model_config  model
         interventions  scm  sortability      1  files  gene_table     cells from files,
                                                 expression_values     pairs from cells
                                                 h5ad_file  h5ad_genes
                                                 h5ad_values  h5ad
                                                 pairing
                      \                               /
    gpcp, ground floor (numpy)
      0  errors  genes  cells  pairs  predictors  randomness  registry  atomic

The way of the data, left to right::

    where cells come from       how cells meet          what the model eats   what it learns    what we ask of it

    simulators.sources ┐
    gpcp.h5ad          ┴ CellBatch ─ gpcp.pairing ┐
                                                  ├ PairBatch ─ gpcp.batches ─ gpcp.model ─ gpcp.training
    simulators.sources (paired by construction) ──┘     │                                        │
                                                        │                                 gpcp.predictors
                                                        │                                        │
                          simulators.bayes (ceilings) ──┴─────── diagnostics.losses, diagnostics.readouts
"""

__version__ = "0.1.0"
