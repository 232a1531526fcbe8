r"""gpcp, the Gene Perturbation Correlate Predictor: a synthetic-first testbed that says why a model does not learn.

One question decides every choice: when a transformer on gene-perturbation data does not learn, is it the data,
the optimiser, the architecture, or a bug, and what is the most that could have been learnt?

The house. Nothing imports upwards, neither between the packages nor between the floors of one::

               examples                              tests
                       \                            /
    diagnostics   5    recover_graph  command  plan  benchmark         the commands
                       audit_pairs  audit_command
                       selftest  selftest_runs  selftest_table
                       learning_curve  curve_command  curve_runs        more data, or a bigger model?
                       curve_points  curve_table  curve_figures
                       genes_needed
                       __main__  diagnosis_command  verdict_page
                       throughput  throughput_command
                       compare_heads  compare_command
                       compare_plan  compared_runs
                  4    checks/check  checks/subject  checks/probe      torch: why does it not learn?
                       checks/cascade  checks/weights
                       checks/altered  checks/identities
                       checks/loss  checks/inputs  checks/told_inputs
                       checks/invariances  checks/paths
                       checks/outputs  checks/told_apart
                       checks/start
                       checks/wiring  checks/step_sizes
                       checks/provenance  checks/step_inputs
                       checks/passes  checks/units
                       checks/contents  checks/relations
                       checks/signal  checks/linear  checks/gains
                       checks/cell_names  checks/transforms
                       checks/ladder  checks/one_batch
                       checks/learning  checks/short_training
                       checks/answers  checks/paces
                       checks/directions  checks/loss_directions
                       fault  faults  faults_shown                     planted faults, which
                       fault_entries  altered_pairs                    say how good the checks are
                       faults_data  faults_loss
                       faults_model  faults_optimiser  healthy
                       fitted_subject  named_model  named_subject      what a user's words name,
                       verdict_figures  diagnose  yardsticks           its figures, what sweeps ask
                       device_clock  throughput_subject
                       carried  head_contract                          what a head can say, and promises
                  3    recovery  cells_recovery  input_speeds          one run, from data to scores
                  2    real_cells  trained  standing  readings         its parts: data, training, losses,
                       methods  limits  verdicts  runs                 scores, judgement; many runs, and
                       progress  tables  figures                       what a person sees of them
                       source_names  audit  audit_verdicts             is it my data?
                       audit_table  audit_figure
                       overlap_report  overlap_words                   is it my loader?
                       timeline_figure
                       compared  compared_table  compared_json
                       compared_figure
                       run_store  stages  graph_theory
                  1    losses  ridge  loss_baselines  readouts         what is measured, beside what others
                       torch_readouts  rankings  graph_scores          would get from the same pairs, and
                       oracles  baselines  forests_and_covariances     beside the most that can be had
                       matched_linear  partial_graph  implied_law
                       low_rank
                       audit_intervals  audit_sample                   what the change between paired
                       audit_expressed  audit_parts  audit_noise       cells is made of
                       audit_partners  audit_gain
                       overlap  virtual_pass  core_use                 who waited for whom
                       input_ways  stage_times
                       sample_size  power_law  curve_answer             how much would more win?
                  0    result  report  record  settings                values
                       verdict_card  svg_figures  checks/__init__
                       checks/predictor
                      /                               \
    simulators                              gpcp, upper floors
      2  assay  sources  worlds               5  select_genes  sweep   commands
         census_tables  census_labels            selection_report
         census_values  census_spool          4  sweeps  sweep_space   optuna: many trainings
         census_writer  export                   sweep_store  sweep_trial
         embedded_census                         sweep_result  offers
      1  laws  conditioning  equations           sweep_command
         monte_carlo  particles                  sweep_table  sweep_figures
         quadrature  bayes                    3  loss  fit_config      torch: learning
      0  randomness  regimes  graphs             training  prediction
         networks  noises  mechanisms            replicate
         interventions  scm  sortability      2  pair_dataset          torch: pairs for its loader,
                                                 seeding  batches      the model
                                                 device_copies  attention
                                                 embedding  queries
                                                 distributions  point_heads
                                                 distribution_heads  heads
                                                 model_config  model
                                              1  files  gene_table     cells from files,
                                                 expression_values     pairs from cells
                                                 h5ad_file  h5ad_genes
                                                 h5ad_values  h5ad
                                                 cell_index  sparse_cells
                                                 subsets  sparse_pairs
                                                 pairing  pairing_keys
                                                 pairing_stats  told
                                                 signatures  matching
                                                 pools  planning
                                                 planned  streaming
                                                 read_ahead  prefetch
                                                 shares  seed_noise
                                                 sampled_cells  cell_split
                                                 census_store  census_query
                                                 census_reader  census
                                                 gene_statistics  selection
                                                 statistics_file  gene_notes
                                                 gene_panel  panel_file
                                                 source_names  pair_names
                                                 plugins
                                                 cache_format  cache_arrays
                                                 cache_parts  cache_rows
                                                 cache_join  cache
                                                 cache_build
                      \                               /
    gpcp, ground floor (numpy)
      0  errors  genes  cells  pairs  predictors  randomness  registry  atomic
         command_line  places

The way of the data, left to right::

    where cells come from      how cells meet              what the model eats            what it learns

    simulators.sources ─┐
    gpcp.census        ─┤
    gpcp.h5ad          ─┴─ CellBatch ─ gpcp.pairing ─┐
                                                     ├─ PairBatch ─ gpcp.batches ─ gpcp.model ─ gpcp.training
    simulators.sources (paired by construction) ─────┘                                               │
                                                                                              gpcp.prediction
                                                                                                     │
    what we ask of it          diagnostics.standing: its loss, between knowing nothing and the exact answer
                               diagnostics.readings: the graph inside it, beside what the exact answer shows
                                                                                                     │
    the exact answer           simulators.laws, simulators.bayes: predictors like any other ─────────┘
"""

__version__ = "0.1.0"
