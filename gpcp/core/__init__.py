"""Values that the whole library shares: genes, cells, pairs, predictors, intervals, files, random streams.

The names of arrays end in their axes, one capital letter each, in order: ``delta_BG`` has a row for each pair and a
column for each gene. A letter means the same in every file; an axis that is not listed here has no letter, but a word:
``mean_type_G`` has a row for each cell type.

======  =================================================================================
``A``   perturbations applied to one cell, of those that have names of their own
``B``   pairs or cells of a batch or a block
``C``   covariates in which the cells of a pair differ
``D``   width: the numbers that stand for one token, or one pair, inside a model
``E``   entries one after the other: stored ones of a sparse matrix, scored ones, weights
``F``   features: the numbers that enter a model for one token, a regression for one row
``G``   genes of a vocabulary or of a matrix
``H``   attention heads
``K``   keys: the tokens that are attended to
``L``   tokens of the state: the measured genes of a batch, ``L <= G``
``M``   components of a mixture distribution
``N``   all cells of a source, or of a simulated sample
``P``   pairs made of the cells of a source, where ``B`` counts cells
``Q``   queries: the genes that are asked for, the tokens that attend
``R``   repetitions: seeds of a training, resamplings of a bootstrap
``S``   measured sets: cells measured for the same genes, such as those of one dataset
``T``   the two cells of a pair, ``T = 2``
``V``   quantities that are estimated together
``W``   bytes or 64-bit words that hold one bit for each gene
``Y``   targets of a regression
======  =================================================================================
"""
