"""The cascade: data, loss, untrained model, optimiser, short training; the first failing check names the cause."""
