"""Known worlds: gene graphs, mechanisms, interventions, their exact laws, and the assay that measures them."""
