"""Models that predict a screen: any module of PyTorch, and STATE and GEARS as programs of their own environments."""
